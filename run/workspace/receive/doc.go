// Package receive is a sync's other side: it keeps workspaces where commands run. Wrapped around a
// Conn to processes of the same machine (New), it gives it the ability compute.Workspacer, and
// commands that name a workspace wait for it and start in it.
//
// A workspace is a directory KEY below Options.Dir. What is known of it stands beside, in
// .hostler/KEY: the list of what was written and how that looked on the disk afterwards, the mark
// that a sync was cut short, and the lock. Only what that list has is ever deleted, unless Clean is
// asked for. Each path is opened component by component, and no link is followed: what a command
// has planted cannot lead a write out of the workspace.
//
// Contents come into the store, by their hash, before anything in the workspace is touched; a sync
// that is cut short finds them there the next time. They are moved or copied from there, never
// linked, so that a command that writes into a file writes into that one alone. What another
// workspace beside it has already is copied from there.
//
// A workspace is one conversation's at a time: the lock is the kernel's, and ends with the
// conversation, the connection or the process.
package receive
