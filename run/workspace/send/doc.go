// Package send brings a workspace on an instance up to date with a tree here, over any Conn that is
// a compute.Workspacer.
//
// Begin announces that a workspace is wanted, before the tree has been looked at, so that the other
// side looks at its copy meanwhile. Sync says what the tree is. What the other side had after the
// last sync is kept in a file here, so that what changed goes out with the first message, with its
// contents where they are small: then all is said in one round trip, and the command that was sent
// behind it starts at once. That file is never required: where it is lost or wrong the other side
// asks for the whole list.
//
// No more than the difference goes over the wire: entries, and contents that the other side has
// nowhere. Each file is hashed again while it is sent, so what changes between the look and the
// sending is never taken for what was seen (ErrChanged).
package send
