// Package send updates a workspace on an instance to match a local tree, over any Conn that is a
// provider.Workspacer.
//
// Begin announces the workspace before the tree is scanned, so that the other side checks its copy
// meanwhile. Sync sends the tree. A local file remembers the list of the last sync, so the first
// message has only the changes, with the contents if they are small. Then one round trip is enough,
// and a command that was sent after it starts at once. If the file is lost or wrong, the other side
// asks for the whole list.
//
// Only the differences are sent: entries, and contents that the other side does not have. Each file
// is hashed again while it is sent. A file that has changed since the scan gives ErrChanged.
package send
