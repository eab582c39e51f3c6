package compute

import (
	"context"
	"io"
	"net"
)

// A Conn is a connection to one computer. Its methods may be called at once from many goroutines.
// At least 64 commands at a time must work.
type Conn interface {
	// Run starts a command and waits for its end. The error is nil whenever the command ran and
	// ended, whatever its exit status. Otherwise it is ErrNoCommand, ErrNotExecutable,
	// ErrCannotStart, ErrLost or the context's own error. When ctx ends, the command's whole
	// process group (a session, with a terminal) is killed. Run returns after that, or a few
	// seconds later if contact is lost.
	Run(ctx context.Context, cmd *Command) (Exit, error)
	// Put unpacks a tar stream into the directory dir, and makes dir if it is missing. Modes,
	// times, links and holes are kept; owners only by some connections that may set them. An entry
	// outside of dir is an error and is not written. Each file appears by atomic rename.
	Put(ctx context.Context, dir string, tar io.Reader) error
	// Get writes path as a tar stream to w. The entry's name is path's base name; a directory's
	// tree is below it. Links are not followed.
	Get(ctx context.Context, path string, w io.Writer) error
	// Close ends the connection and the commands that run through it. It may be called again.
	Close() error
}

// Command is a program to run on a computer. Args is a vector: no shell splits it on the way.
type Command struct {
	Args []string          // the program and its arguments; empty: the user's login shell
	Dir  string            // working directory; "": the connection's default
	Env  map[string]string // added to the environment that the connection gives
	User string            // run as this user; "": the connection's own
	// processes that it leaves running may stay, where a connection ends the descendants of a run
	Stay bool
	// Aside says that it only looks or copies: it does not wait for its turn where commands do.
	Aside bool

	// Workspace is the token of a conversation of Workspacer.Workspace on the same connection,
	// which may begin later. The command waits until the workspace is complete, and starts in it:
	// Dir is a directory below it. If the conversation ends before, the command is not started. "":
	// no workspace. Only a Workspacer takes it.
	Workspace string

	Stdin  io.Reader // nil: empty
	Stdout io.Writer // nil: discarded
	Stderr io.Writer // nil: discarded; unused with a terminal

	TTY    *Size       // not nil: run in a terminal of this size
	Term   string      // the terminal's type; "": xterm
	Resize <-chan Size // sizes that the terminal changes to; may be nil
	// signals for the command's process group, without "SIG": "INT", "TERM"; may be nil
	Signals <-chan string

	// what becomes of the command when contact is lost; nil: it ends. It ends too on a Conn that is
	// no Holder, unless Hold.Keep refuses that.
	Hold *Hold
}

// Size is the size of a terminal, in characters.
type Size struct{ Rows, Cols int }

// Exit is how a command ended.
type Exit struct {
	Code   int    // 0 to 255; unused when Signal is set
	Signal string // without "SIG": "KILL"; "": no signal ended it
	Reason string // more that is known: "out of memory"; "": nothing
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

// Pretender is a Conn to a simulated computer: commands are answered, and do nothing.
type Pretender interface {
	// Pretends reports whether the computer is simulated.
	Pretends() bool
}

// Workspacer is a Conn with a far side that keeps workspaces: copies of working trees.
type Workspacer interface {
	// Workspace begins a conversation about a workspace; package workspace defines its messages.
	// Writes go out at once, without waiting for an answer. If the other side keeps no workspaces,
	// reading returns ErrInvalid. The caller chooses a unique token, by which commands name the
	// workspace (Command.Workspace). The workspace is the caller's alone until the conversation is
	// closed or contact is lost.
	Workspace(ctx context.Context, token string) (net.Conn, error)
}
