// Package supervise keeps programs running, in groups that are put, started, stopped and removed
// together. The programs of a partition of a SlapOS node are one group.
//
// A Supervisor owns the programs' processes. Each writes straight to its own log file and has no
// pipe to another process, so it outlives the supervisor. The next supervisor on the same directory
// adopts the running ones and starts nothing twice: after an upgrade in place (exec), a kill -9 or
// an orderly end. A program is recorded before it is started. A process that was started and not
// recorded yet is found by a mark in its environment. A process is known by a handle of the kernel
// (pidfd) and never by its number. One thread waits for all of them in the kernel, so idle programs
// cost nothing.
//
// Elsewhere than on Linux nothing can be supervised.
package supervise
