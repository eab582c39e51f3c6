// Package cli is the ground of the command line: the state of one command, the engine or the
// controller that it asks, names and completion. The commands stand in the packages below it, one
// for each group.
package cli
