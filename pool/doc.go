// Package pool is the lease engine: the sole owner of an instance's life. It hands instances out
// and takes them back, makes what is missing, cleans, discards, repairs what a crash left
// half-done, and keeps the queue; it draws from pools' children in order.
//
// Any number of processes may each have a Pool on one store at a time. What they agree on is in the
// store alone: every step is recorded before it is done, with the number of the worker that does
// it; a worker's number is good as long as its process lives, so what a dead one left behind is
// found and finished or removed by the next. Within a process all methods may be called from many
// goroutines.
//
// A Pool starts nothing in the background. What is due (expired leases, cleaning, discarding) is
// done by Work, which the commands call for the sources that they touch, and the keeper and the
// controller for all.
package pool
