// Package remote holds the ways into a computer: compute.Conn made of processes on this machine (Exec: as they are, behind a prefix command, or
// in another root) and of ssh; and what works over any Conn: trees as tar streams (Pack, Unpack), Copy, Forward.
//
// It promises that an argument vector arrives as it was given, that standard output and error stay apart and binary, that a cancelled context
// leaves no process of the command behind, and that nothing is ever unpacked outside of the directory that was named.
//
// Callers close what they open. A Stdin that is not an *os.File is read by a goroutine that ends when its Read returns: give a reader that ends,
// or is closed, after the command has.
package remote
