//go:build cgo

package host

// withCgo says that this program needs a C library, which another computer may lack, and has
// threads that Go does not know.
const withCgo = true
