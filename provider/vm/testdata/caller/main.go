// Command caller is put in qemu's place: it says whether it reaches an address.
package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

var address string

func main() {
	if words := strings.Join(os.Args[1:], " "); words == "-L help" {
		return
	} else if strings.HasSuffix(words, "--version") {
		fmt.Println("QEMU emulator version 99.1")
		return
	}
	c, err := net.DialTimeout("tcp4", address, 2*time.Second)
	fmt.Fprintf(os.Stderr, "reached: %v (%v)\n", err == nil, err)
	if err == nil {
		_ = c.Close()
	}
	os.Exit(1)
}
