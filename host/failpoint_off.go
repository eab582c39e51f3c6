//go:build !failpoint

package host

// Step is called at each recorded step of the engine. It is nil in released programs.
var Step func(step string)
