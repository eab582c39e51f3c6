// Package state is what the lease engine's other parts stand on: the configured sources, the
// records of instances as they move from state to state, what this process works on, and the
// engine's clock. It opens no provider.
package state
