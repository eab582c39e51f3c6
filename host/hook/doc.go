// Package hook runs the executables of provision.d, discard.d and their kin. The rules are like
// those of run-parts:
//
//   - only regular executable files, or links to them,
//   - only names made of [A-Za-z0-9_-],
//   - in byte-wise order, one after another,
//   - with the instance's name as the first argument.
//
// Each script has its own session and process group, and /dev/null as input. When its time is up,
// or the caller's context ends, everything that it started is killed with it. When it ends by
// itself, processes that it left in the background (a tunnel, say) go on, but their output is no
// longer read.
//
// The package knows no leases and stores. With Call.Resume and Call.Done the caller says what is
// done, and stores it.
package hook
