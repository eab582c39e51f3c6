package runcmd

import (
	"golang.org/x/sys/unix"
)

// KeepFiles keeps inherited descriptors, except the standard ones, from the processes we start.
// Sandboxes, machines and the keeper live on, and would hold a caller's pipe or lock open. An old
// kernel cannot do this.
func KeepFiles() { _ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) }
