package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/compute/fault"
)

// Absolute returns an absolute path, which means the same in any directory.
func Absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	out, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(out)
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return "", fault.Invalid("", "%s: %w", path, pe.Err)
	}
	return out, err
}
