// Hello is built for another architecture, to see what becomes of its system calls.
package main

import "os"

func main() { os.Stdout.WriteString("hello\n") }
