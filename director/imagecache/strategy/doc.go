// Package strategy decides which images are to be cached on which nodes, and which nodes are to be
// ejected. Deciding is pure: no clock, and chance comes from a source that is given. Only a
// strategy that is an external program does I/O.
package strategy
