//go:build !cgo

package host

// withCgo is false: this program is a single file that needs no library.
const withCgo = false
