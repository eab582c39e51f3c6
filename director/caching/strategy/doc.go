// Package strategy decides which images are to be cached on which nodes, and which nodes are to be
// ejected. Deciding is pure: no clock, no I/O but that of a strategy that is a program of its own,
// and chance comes from a source that is given.
package strategy
