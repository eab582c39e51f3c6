//go:build !cgo

package main

// withCgo: it is one file that runs by itself.
const withCgo = false
