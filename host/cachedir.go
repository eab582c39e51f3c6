package host

import (
	"os"
	"path/filepath"
)

// CacheDir returns the directory of files that can be made again: $XDG_CACHE_HOME/hostler, else
// ~/.cache/hostler. It may not exist.
func CacheDir() (string, error) {
	// the XDG specification says to ignore a relative path
	if d := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hostler"), nil
	}
	h, err := Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(h, ".cache", "hostler"), nil
}
