//go:build !linux

package apiprocess

import (
	"errors"
	"os/exec"
	"runtime"
)

const threads = 0 // nothing is counted

func mayBecome() bool { return false }

func spaceOfItsOwn(*exec.Cmd) {}

func sharedThreads() int { return 0 }

// confined says that this machine has nothing to confine a process by.
func confined(s setup) ([]string, error) {
	lacks := []string{"user, Landlock and seccomp: " + runtime.GOOS + " has none that we use"}
	if s.Strict {
		return nil, errors.New(lacks[0])
	}
	return lacks, nil
}
