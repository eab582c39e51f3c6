// Command agent is the guest's program of the tests where hostler-agent does not know the verbs of virtual machines.
package main

import (
	"os"

	"github.com/hostler-project/hostler/provider/vm/guest"
)

func main() {
	if len(os.Args) < 2 || guest.Verbs()[os.Args[1]] == nil {
		os.Exit(2)
	}
	os.Exit(guest.Verbs()[os.Args[1]](os.Args[2:]))
}
