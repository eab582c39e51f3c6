// Package host composes the program on one machine: the directories that it keeps, the agent that
// it brings to other computers, and what joins configuration, store, kinds of sources and hooks to
// the lease engine.
package host
