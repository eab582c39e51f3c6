// Package sqlite keeps hostler's state in one SQLite file. WAL mode and synchronous FULL make a
// committed change survive a crash of the machine. Any number of processes may have it open. Within
// a process, calls to Update that meet share one transaction and one sync.
//
// A new file is made under another name and moved when it is whole. The header tells a file that is
// not ours, or that a newer hostler wrote; such a file is not touched. Commands end by Leave, which
// spares the next of them what Close costs.
//
// Beside the file lies FILE-workers, empty. Each open Store holds a lock on one byte of it for as
// long as its process lives; the offset is its worker's number. Further bytes are for the places of
// Slot. The kernel drops the locks of a dead process, so nothing ever has to expire.
package sqlite
