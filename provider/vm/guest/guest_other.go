//go:build !linux

package guest

import (
	"fmt"
	"os"
)

// BootMain reports that this system is not supported.
func BootMain([]string) int { return refuse() }

// ServeMain reports that this system is not supported.
func ServeMain([]string) int { return refuse() }

func refuse() int {
	fmt.Fprintln(os.Stderr, "hostler-agent: machines of ours run Linux")
	return 1
}
