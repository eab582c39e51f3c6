// Package keeper is the background process of commands that embed the engine, where there is no
// controller. It keeps connections to instances open between commands, and does the work that
// commands leave: cleaning, discarding, ending leases.
//
// There is one keeper per user and store, on a unix socket in the user's runtime directory. A
// command starts it when needed (Ensure, Wake), and it ends when it has had nothing to do for a
// while. It knows only what the store says, through the functions in Options. Killing it loses only
// what runs through it, and those clients get ErrLost.
//
// A client sends one frame: what it wants, for whom, and its build of hostler. The keeper asks the
// store each time whether that is allowed, and answers with one frame. On a connection into an
// instance, both then speak the protocol of remote/agent. A keeper of another build is asked to
// make room: it gives up its socket at once, and ends when nothing runs through it any more.
package keeper
