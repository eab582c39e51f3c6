//go:build !linux

package apiprocess

import (
	"errors"
	"os/exec"
	"runtime"
)

const maxThreads = 0 // nothing is counted

func mayBecome() bool { return false }

func ownUserNamespace(*exec.Cmd) {}

func sharedThreads() int { return 0 }

// confineSelf says that this machine has nothing to confine a process by.
func confineSelf(s setup) ([]string, error) {
	lacks := []string{"user, Landlock and seccomp: " + runtime.GOOS + " has none that we use"}
	if s.Strict {
		return nil, errors.New(lacks[0])
	}
	return lacks, nil
}
