// Package caching keeps images cached on bare-metal nodes: it looks (metal.Scout), decides
// (metal.Strategy), and has it done (metal.Commander), again and again. Deciding is pure: no clock,
// no I/O but that of a strategy that is a program of its own, and chance comes from a source that
// is given.
package caching
