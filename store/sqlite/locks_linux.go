package sqlite

import "golang.org/x/sys/unix"

// Locks of an open file description: each Store has its own, also two in one process, and they end
// with it.
const (
	setLock  = unix.F_OFD_SETLK
	getLock  = unix.F_OFD_GETLK
	waitLock = unix.F_OFD_SETLKW
)
