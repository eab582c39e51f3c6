//go:build !cgo

package host

// withCgo: it is one file that runs by itself.
const withCgo = false
