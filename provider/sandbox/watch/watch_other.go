//go:build !linux || (!amd64 && !arm64)

package watch

import (
	"fmt"
	"os"
)

// Main says that there are no sandboxes here.
func Main([]string) int {
	fmt.Fprintln(os.Stderr, "hostler: commands are watched on Linux, amd64 and arm64, alone")
	return 1
}
