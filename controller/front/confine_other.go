//go:build !linux

package front

import (
	"errors"
	"runtime"
)

// confined says that this machine has nothing to confine a process by.
func confined(s setup) ([]string, error) {
	lacks := []string{"user, Landlock and seccomp: " + runtime.GOOS + " has none that we use"}
	if s.Strict {
		return nil, errors.New(lacks[0])
	}
	return lacks, nil
}
