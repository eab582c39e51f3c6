// Package remote has what works over any way into a computer: Copy, of files and trees from one
// side to another, and Forward, of ports and sockets.
//
// The ways themselves are its parts: remote/process (processes of this machine: as they are, behind
// a prefix command, or in another root), remote/sshconn (ssh) and remote/agent (our own program on
// the other side). What these share stands in remote/tree (trees as tar streams), remote/shell (a
// command as a line for a shell) and remote/openssh (what the user has told OpenSSH).
//
// Together they promise that an argument vector arrives as it was given, that standard output and
// error stay apart and binary, that a cancelled context leaves no process of the command behind,
// and that nothing is ever unpacked outside of the directory that was named.
//
// Callers close what they open. A Stdin that is not an *os.File is read by a goroutine that ends
// when its Read returns: give a reader that ends, or is closed, after the command has.
package remote
