package arsenal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
)

// Find returns the file that oslo.config finds by default.
func Find() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	places := []string{
		filepath.Join(home, ".arsenal", "arsenal.conf"), filepath.Join(home, "arsenal.conf"),
		"/etc/arsenal/arsenal.conf", "/etc/arsenal.conf",
	}
	for _, p := range places {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			return p, nil
		}
	}
	return "", fault.Invalid("arsenal-director --config-file FILE", "there is no arsenal.conf: not at %s", strings.Join(places, ", "))
}
