//go:build !linux

package enter

import (
	"fmt"
	"os"
)

// Main is for Linux.
func Main([]string) int {
	fmt.Fprintln(os.Stderr, "sandboxes are for Linux")
	return 1
}
