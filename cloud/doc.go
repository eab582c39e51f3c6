// Package cloud has servers of a cloud made, used, shared and unmade, for Go programs, without a
// controller: deploy what servers need, spawn the cheapest flavor that fits, wait until a server is
// ready, run commands and copy files, book parts of it, have it destroyed when it has been idle,
// and tear everything down.
//
// What is made is recorded in a store that the caller hands over, such as store/sqlite, before the
// cloud is asked for it; any number of processes may use one store. Nothing belongs to the process
// as a whole: two clouds, regions or projects may be used side by side.
//
// Sizes are in cores, MiB of memory and GiB of disk, as clouds have them. Errors are compute.Error;
// ErrIsNoHardware tells whether one says that the cloud had no room.
package cloud
