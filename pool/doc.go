// Package pool is the lease engine: the sole owner of an instance's life. It hands instances out
// and takes them back, makes missing ones, cleans, discards, and repairs what a crash left
// half-done. It keeps the queue, and draws from pools' children in order.
//
// Any number of processes may have a Pool on one store at a time. They agree through the store
// alone. Every step is recorded before it is done, with the number of the worker that does it. A
// worker's number is good as long as its process lives. So the next process finds what a dead one
// left, and finishes or removes it. Within a process all methods may be called from many
// goroutines.
//
// A Pool starts nothing in the background. RunDue does what is due: expired leases, cleaning,
// discarding. Commands call it for the sources that they touch, the keeper and the controller for
// all.
package pool
