//go:build !linux

package jail

// Main is for Linux alone.
func Main([]string) int { return 1 }
