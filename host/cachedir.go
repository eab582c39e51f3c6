package host

import (
	"os"
	"path/filepath"
)

// CacheDir is the directory of what can be had again: $XDG_CACHE_HOME/hostler, else
// ~/.cache/hostler. It is not made here.
func CacheDir() (string, error) {
	// a relative one is to be ignored, says its specification
	if d := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hostler"), nil
	}
	h, err := Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(h, ".cache", "hostler"), nil
}
