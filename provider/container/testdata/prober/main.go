// Command prober says which ways out of a container lead somewhere. Its argument is the gateway.
package main

import (
	"fmt"
	"os"

	"github.com/hostler-project/hostler/compute/computetest/wayout"
)

func main() {
	for _, udp := range []bool{false, true} {
		if (wayout.Way{UDP: udp, Host: wayout.World, Port: 80}).Reached("") {
			fmt.Println("world")
		}
	}
	for _, w := range wayout.All() {
		if w.Reached(os.Args[1]) {
			fmt.Println(w)
		}
	}
}
