package compute

import (
	"context"
	"io"
	"net"
)

// A Conn is a way into one computer. Its methods may be called at once from many goroutines; 64
// commands at a time must work.
type Conn interface {
	// Run starts a command and waits for its end. The error is nil whenever the command ran and
	// ended, whatever its exit status; otherwise it is ErrNoCommand, ErrNotExecutable,
	// ErrCannotStart, ErrLost or the context's own error. When ctx ends, the command's whole
	// process group (a session, with a terminal) is killed and Run returns after that, or after a
	// few seconds when contact is lost.
	Run(ctx context.Context, cmd *Command) (Exit, error)
	// Put unpacks a tar stream into the directory dir, which exists or is made. Modes, times, links
	// and holes are kept; owners where permitted and Owner is asked for. An entry that would land
	// outside of dir is an error and is not written. Each file appears by atomic rename.
	Put(ctx context.Context, dir string, tar io.Reader) error
	// Get writes path as a tar stream to w: the entry's name is path's base name, and below it, the
	// tree. Links are not followed.
	Get(ctx context.Context, path string, w io.Writer) error
	// Close ends the connection, and what runs through it. It may be called again.
	Close() error
}

// Command is a program to run on a computer. Args is a vector: no shell takes it apart on the way.
type Command struct {
	Args []string          // the program and its arguments; empty: the user's login shell
	Dir  string            // working directory; "": the connection's default
	Env  map[string]string // added to the environment that the connection gives
	User string            // run as this user; "": the connection's own
	// what it leaves running when it ends may stay, where a connection ends the descendants of a
	// run
	Stay bool
	// Aside says that it is no work of its own, but looks or copies: it waits for no turn where
	// commands wait for theirs.
	Aside bool

	// Workspace is the token of a conversation that Workspacer.Workspace began, or is about to
	// begin, on the same connection: the command waits until the workspace is complete and starts
	// in it, Dir being a directory below it. It is not started when the conversation ends before
	// that. "": no workspace. Only for a Conn that is a Workspacer.
	Workspace string

	Stdin  io.Reader // nil: empty
	Stdout io.Writer // nil: discarded
	Stderr io.Writer // nil: discarded; unused with a terminal

	TTY    *Size       // not nil: run in a terminal of this size
	Term   string      // the terminal's type; "": xterm
	Resize <-chan Size // sizes that the terminal changes to; may be nil
	// signals for the command's process group, without "SIG": "INT", "TERM"; may be nil
	Signals <-chan string

	// what becomes of it when contact is lost; nil: it ends. Where nobody is a Holder it ends too,
	// unless Hold.Keep refuses that
	Hold *Hold
}

// Size is a terminal's, in characters.
type Size struct{ Rows, Cols int }

// Exit is how a command ended.
type Exit struct {
	Code   int    // 0 to 255; unused when Signal is set
	Signal string // without "SIG": "KILL"; "": it was not a signal that ended it
	Reason string // what is known beside that: "out of memory"; "": nothing
}

// Status returns the exit status as a shell shows it: the code, or 128 and the signal's number.
func (e Exit) Status() int {
	if e.Signal == "" {
		return e.Code
	}
	return 128 + SignalNumber(e.Signal)
}

// The numbers of signals as Linux on amd64 and arm64 has them.
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12,
	"PIPE": 13, "ALRM": 14, "TERM": 15, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24,
	"XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29, "PWR": 30, "SYS": 31,
}

// SignalNumber returns a signal's number by its name without "SIG", or 0.
func SignalNumber(name string) int { return signals[name] }

// SignalName returns a signal's name without "SIG" by its number, or "".
func SignalName(n int) string {
	for name, i := range signals {
		if i == n {
			return name
		}
	}
	return ""
}

// Dialer is a Conn that can open network connections from the computer: forwarding of local ports
// and sockets.
type Dialer interface {
	// Dial connects, as seen from the computer. Networks: "tcp" with HOST:PORT, "unix" with a path.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Listener is a Conn that can listen on the computer: forwarding of remote ports and sockets.
type Listener interface {
	// Listen announces on the computer. The same networks as Dial. Closing the listener or the Conn
	// ends it.
	Listen(ctx context.Context, network, address string) (net.Listener, error)
}

// Pretender is a Conn to a computer that there is not: commands are answered, and do nothing.
type Pretender interface {
	Pretends() bool
}

// Workspacer is a Conn with a far side that keeps workspaces: copies of working trees.
type Workspacer interface {
	// Workspace begins a conversation about one, which package workspace knows the words of. What
	// is written goes out at once, without waiting for an answer; where the other side keeps no
	// workspaces, reading says so with ErrInvalid. The token is the caller's, and unique; by it
	// commands say which workspace they want (Command.Workspace). As long as the conversation lasts
	// the workspace is the caller's alone; closing it, or losing contact, ends that.
	Workspace(ctx context.Context, token string) (net.Conn, error)
}
