// Package queue has the requests of this process that wait. Its dispatcher looks what has
// changed, for all of them at once, and wakes those whose turn may have come.
package queue
