// Package supervise keeps programs running, in groups that are put, started, stopped and removed
// together: what a SlapOS node runs of a partition is one.
//
// A Supervisor owns the programs' processes. Each writes straight to its own log file and has no
// pipe to anybody, so it outlives the supervisor: the next one on the same directory adopts what
// still runs, be it after an upgrade in place (exec), a kill -9 or an orderly end, and starts
// nothing twice. What is to run is recorded before it is started; what was started and not recorded
// yet is found by a mark in its environment. A process is known by a handle of the kernel (pidfd)
// and never by its number, and one thread waits for all of them in the kernel, so that idle
// programs cost nothing.
//
// Elsewhere than on Linux nothing can be supervised.
package supervise
