//go:build !linux

package caching

import "syscall"

// tie does nothing: only Linux can.
func tie(*syscall.SysProcAttr) {}
