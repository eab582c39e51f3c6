//go:build !linux

package proc

import "syscall"

// KillWithParent does nothing on this system: the program outlives this process if that is killed.
func KillWithParent(*syscall.SysProcAttr) (release func()) { return func() {} }
