// Package local is the provider of type local: this machine, as it is. It has one computer, named
// local; making and unmaking it is nothing, and commands run with the caller's environment in the
// caller's directory.
//
// The machine stays as its users leave it, but the processes that were started through a connection
// of ours end with Clean and Destroy, those included that went to the background or became daemons.
// They are known by the variable Mark in the environment that they were started with, which holds
// the installation and the instance; so a process whose environment was emptied on purpose (env -i)
// is not found, and one of another user is found by root alone. Never ended are the calling process
// and its ancestors: `hostler release` works from inside of the run.
//
// Looking for them means reading /proc: 5 µs a process, so a millisecond on a machine with two
// hundred (BenchmarkHunt). Where nothing was run since the last time, nothing is read: the first
// command leaves a file in Options.Dir, which says so across processes.
//
// A background process of hostler's own that shall outlive the lease inside which it happens to be
// started (the keeper, a controller) must be started without Mark: see Unmarked.
//
// Where there is no /proc to read (not Linux), Clean says that it looked for nothing.
package local
