// Package local is the provider of type local: this machine, as it is. It has one computer, named
// local. Making and destroying it does nothing. Commands run with the caller's environment in the
// caller's directory.
//
// The machine stays as its users leave it. But Clean and Destroy end the processes that were
// started through our connections, even those in the background and daemons. They are found by the
// variable HOSTLER_INSTANCE_MARK in the environment that they were started with, which has the
// installation and the instance. A process whose environment was emptied on purpose (env -i) is not
// found. One of another user is found only by root. The calling process and its ancestors are never
// ended, so `hostler release` works from inside of the run.
//
// The search reads /proc and takes 5 µs a process: a millisecond on a machine with two hundred
// (BenchmarkHunt). If nothing was run since the last search, nothing is read. The first command
// leaves a file in Options.Dir, which tells this to other processes.
//
// A background process of hostler itself (the keeper, a controller) may be started inside of a
// lease and outlive it. It must be started without that variable: see Unmarked.
//
// Where there is no /proc (not Linux), Clean says that it searched for nothing.
package local
