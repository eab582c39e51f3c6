package runcmd

import (
	"golang.org/x/sys/unix"
)

// KeepFiles keeps the descriptors that we were given, beside the standard ones, from what we start:
// sandboxes, machines and the keeper live on, and would hold open the pipe or the lock of a script
// that has long ended. An old kernel cannot; then they do.
func KeepFiles() { _ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) }
