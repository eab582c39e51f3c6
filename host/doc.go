// Package host composes the program on one machine. It has the directories, the embedded agent, and
// joins configuration, store, kinds of sources and hooks to the lease engine.
//
// Open returns a host with its engine. A Host is used by one goroutine, its engine by any number.
package host
