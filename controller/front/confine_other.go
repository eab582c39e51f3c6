//go:build !linux

package front

import "runtime"

// confined says that this machine has nothing to confine a process by.
func confined(setup) ([]string, error) {
	return []string{"user, Landlock and seccomp: " + runtime.GOOS + " has none that we use"}, nil
}
