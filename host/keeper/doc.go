// Package keeper is embedded use's background process. Where there is no controller, it has what
// outlives a command: open connections to instances, and the work that a command left (cleaning,
// discarding, ended leases).
//
// There is one keeper for each user and store, on a unix socket in the user's runtime directory.
// The command that needs it starts it (Ensure, Wake), and it ends by itself when there was nothing
// to do for a while. It knows only what the store says, through the functions that it is given:
// killing it loses nothing but what ran through it, and those clients see ErrLost.
//
// A client sends one frame: what it wants, for whom, and which build of hostler it is. The keeper
// asks the store whether that may be, every time, and answers with one frame; on a connection into
// an instance both then speak the protocol of remote/agent. A keeper of another build is asked to
// make room: it gives up its socket at once, and ends when what runs through it has ended.
package keeper
