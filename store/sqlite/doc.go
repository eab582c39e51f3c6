// Package sqlite keeps hostler's state in one SQLite file: WAL mode, synchronous FULL, so that what
// was committed survives a crash of the machine. Any number of processes may have it open; within a
// process, calls to Update that meet share one transaction and one sync.
//
// A new file is made under another name and moved when it is whole; what is not ours, or was
// written by a newer hostler, is told by its header and not touched. Commands end by Leave, which
// spares the next of them what Close costs.
//
// Beside the file lies FILE-workers, empty: each open Store holds a lock on one byte of it, whose
// offset is its worker's number, for as long as its process lives, and on further bytes for the
// places of Slot. The kernel drops the locks of a dead process, so nothing ever has to expire.
package sqlite
