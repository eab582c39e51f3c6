// Package hook runs the executables of provision.d, discard.d and their kin, by run-parts rules of
// its own: only regular executable files or links to them, only names made of [A-Za-z0-9_-], in
// byte-wise order, one after the other, with the instance's name as first argument.
//
// Each script gets a session and a process group of its own and /dev/null as its input. When its
// time is up, or the caller's context ends, all that it started is killed with it. What a script
// that has ended by itself left running in the background (a tunnel, say) is left alone, but its
// output is no longer read.
//
// The package knows nothing of leases and stores: the caller says with Call.Resume and Call.Done
// what is done already and where that is kept.
package hook
