//go:build !linux

package guest

import (
	"fmt"
	"os"
)

// BootMain says that it cannot be.
func BootMain([]string) int { return refuse() }

// ServeMain says that it cannot be.
func ServeMain([]string) int { return refuse() }

func refuse() int {
	fmt.Fprintln(os.Stderr, "hostler-agent: machines of ours run Linux")
	return 1
}
