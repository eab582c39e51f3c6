// Package instancedirs keeps the directories that a provider has on this machine, one for each
// instance. All of them are in a directory of the source's own:
//
//	instances/ID/   an instance's home. The file owner in it, the marker, says whose it is. A home
//	                without a marker, or with somebody else's, is left alone.
//	new-*           what is being made, and is renamed when it is complete
//	trash/          what was thrown away, and will be deleted
//
// Only the process that holds the lock of a home changes it. The kernel releases the lock when the
// process dies. The next process finishes or removes what a dead one left. The package needs Linux.
package instancedirs
