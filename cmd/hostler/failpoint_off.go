//go:build !failpoint

package main

// failpoint is called at each recorded step of the engine; in programs that are released, nothing
// is.
var failpoint func(step string)
