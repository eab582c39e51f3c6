// Package cli is the base of the command line: the state of one command, the engine or controller
// that it uses, names and completion. The packages below it have the commands, one package for each
// group.
package cli
