//go:build !linux

package sqlite

import "golang.org/x/sys/unix"

// Elsewhere the locks belong to the process: two Stores on one file in one process do not exclude
// each other's workers.
const (
	setLock  = unix.F_SETLK
	getLock  = unix.F_GETLK
	waitLock = unix.F_SETLKW
)
