//go:build !linux

package exec

import "syscall"

// tie does nothing on this system: the executable outlives us if we are killed.
func tie(*syscall.SysProcAttr) {}
