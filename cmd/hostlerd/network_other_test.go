//go:build !linux

package main

// ownNetwork: nothing here changes the machine's network.
func ownNetwork() (code int, again bool) { return 0, true }
