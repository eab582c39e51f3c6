//go:build !linux

package main

// keepFiles is for the kinds of source that live on, which are Linux's.
func keepFiles() {}
