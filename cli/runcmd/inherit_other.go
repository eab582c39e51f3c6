//go:build !linux

package runcmd

// KeepFiles does nothing: only Linux has the kinds of source that live on.
func KeepFiles() {}
