// Package share does the accounting of a computer that several leases use at once. Each lease books
// a part of its cores, memory, disk and GPUs, and together they never book more than it has. The
// package is pure: no clock, no I/O, no locks. The caller makes a Space of what is booked now, asks
// it, and records the result, all in one transaction.
//
// A part may have no cores at all, such as for a job that only waits for others. It may lie beside
// full parts: an instance has two places for such parts for each of its cores, and four if it has
// no core.
package share
