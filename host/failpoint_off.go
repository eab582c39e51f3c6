//go:build !failpoint

package host

// Step is called at each recorded step of the engine; in programs that are released, nothing
// is.
var Step func(step string)
