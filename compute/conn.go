package compute

import (
	"context"
	"io"
	"time"
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
	// without provider.DetachedRuns, unless Hold.Keep refuses that.
	Hold *Hold
}

// Hold has the other end of a connection keep a command after contact with its caller was lost.
// That is when Run ended because contact was lost, or its context ended with a cause of kind
// ErrLost. If the context ends in any other way, the command ends, as it does without a Hold.
type Hold struct {
	// the run's id, by which it is found again; unique among the runs held there
	Run string
	// the command is kept until it ends; ErrInvalid where no command can be kept. Else it ends
	// Grace after contact was lost.
	Keep  bool
	Grace time.Duration // 0: 30 seconds; an hour at most
	// start nothing, and go on with the run that is held. Of Command only the streams, Signals and
	// Resize count. ErrNotFound: there is no such run
	Attach bool
	// with Attach: only watch. Input, signals and sizes are not passed on, and the end of the
	// context ends nothing
	Look bool
	// with Attach: take over the input from another caller, which gets ErrLost. Without it that is
	// ErrConflict
	Take bool
	// with Attach: how many bytes of standard output the caller has already; -1: not known, send
	// all that is kept
	Out   int64
	Err   int64  // the same of standard error
	Begun func() // called once when the command was started, not with Attach; may be nil
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
