//go:build !linux

package proc

import "syscall"

// Tie does nothing on this system: the program outlives this process if that is killed.
func Tie(*syscall.SysProcAttr) (release func()) { return func() {} }
