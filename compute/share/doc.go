// Package share does the accounting of a computer that several leases use at once: each books a
// part of its cores, memory, disk and GPUs, and together they never book more than it has. It is
// pure: no clock, no I/O, no locks. Who uses it makes a Space of what is booked now, asks it, and
// records what came of it, all in one transaction.
//
// A part with no cores at all, as of a job that only waits for others, may lie beside full ones: an
// instance has two places for such for each of its cores, and four if it has no core.
package share
