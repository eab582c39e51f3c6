//go:build !linux

package strategy

import "syscall"

// tie does nothing: only Linux can.
func tie(*syscall.SysProcAttr) {}
