//go:build !linux

package main

func slaposPlatform() string { return "" }
