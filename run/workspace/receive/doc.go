// Package receive is the remote side of a sync: it keeps workspaces where commands run. New
// wraps a Conn to processes of the same machine and gives it the ability provider.Workspacer. A
// command that names a workspace waits for it and starts in it.
//
//	conn := receive.New(process.New(process.Options{}), receive.Options{})
//	stream, err := conn.Workspace(ctx, token) // package send talks to this stream
//	exit, err := conn.Run(ctx, &compute.Command{Args: args, Workspace: token})
//
// A workspace is a directory KEY below Options.Dir. The records about it are in .hostler/KEY:
// the list of files that were written and their state on disk afterwards, a mark that a sync was
// interrupted, and the lock. A sync deletes only files of that list, unless Clean is asked for.
// Each path is opened component by component without following links, so a link that a command
// has made cannot lead a write out of the workspace.
//
// Contents go into the store, by their hash, before the workspace is changed, and a later sync
// finds the contents of an interrupted one there. They are moved or copied into place, never
// linked, so a command that writes into a file changes that file alone. Contents that another
// workspace has are copied from there.
//
// One conversation at a time has a workspace. The lock is the kernel's and ends with the
// conversation, the connection or the process.
package receive
