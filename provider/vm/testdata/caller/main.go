// Command caller is put in qemu's place: it says which ways out lead somewhere.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/hostler-project/hostler/compute/computetest/wayout"
)

// main answers two questions as qemu would. For anything else it tries the ways out, and exits
// with status 1.
func main() {
	if words := strings.Join(os.Args[1:], " "); words == "-L help" {
		return
	} else if strings.HasSuffix(words, "--version") {
		fmt.Println("QEMU emulator version 99.1")
		return
	}
	world, n := wayout.Way{Host: wayout.World, Port: 80}.Reached(""), 0
	for _, w := range wayout.All() {
		if w.Reached(wayout.Local) {
			n++
		}
	}
	fmt.Fprintf(os.Stderr, "reached: %v, and %d others\n", world, n)
	os.Exit(1)
}
