//go:build !linux

package exec

import "syscall"

// tie cannot be had on this system: the executable outlives us, if we are killed.
func tie(*syscall.SysProcAttr) {}
