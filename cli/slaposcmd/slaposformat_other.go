//go:build !linux

package slaposcmd

func slaposPlatform() string { return "" }
