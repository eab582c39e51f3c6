package run

import (
	"context"
	"io"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/artifacts"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/session"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/worktree"
)

// Options say what to run, where and with what. The zero value of each field is useful. Without
// Args and Script, a shell runs.
type Options struct {
	// Name is the name of an instance, of a lease, or of a source to acquire from; "": the default
	// source.
	Name    string
	Session session.Options

	Args       []string
	Script     []byte // a script to run with Args as arguments; nil: none
	ScriptName string
	Dir        string // where the command starts, relative to its usual directory
	User       string
	Env        Environment
	Timeout    time.Duration // 0: no limit

	Stdin          io.Reader // nil: no input
	Stdout, Stderr io.Writer // nil: discarded
	// Terminal gives the command a terminal; nil: none. restore resets the local terminal.
	Terminal func(cmd *compute.Command) (restore func(), err error)
	// Typed says that Stdin is a terminal, and the command has none. Typed input goes to commands
	// on this machine, and to others if Forward is set.
	Typed, Forward bool
	// Signals sends this process's signals to the command. Before the command runs, they end the
	// run.
	Signals bool
	// Stop acts like TERM when it is closed; nil: never.
	Stop <-chan struct{}

	Tree   *worktree.Tree        // sent before the command starts; nil: none
	Shared bool                  // several runs share the tree, and one of them closes it
	Sync   workspace.SyncOptions // of the tree's copy on the instance
	// Bound is where the tree itself is mounted on the instance; "": nowhere.
	Bound string

	Artifacts artifacts.Options
	// Collected is told what was brought back, before the instance is released; may be nil.
	Collected func(*Runner, *artifacts.Result)
	// Commanded is told how the command ended, before the instance is released; may be nil.
	Commanded func(r *Runner, err error)
	// Verbose makes the run say at its end how long each part took.
	Verbose bool

	Record RecordOptions
	// Detach leaves the command running once it has begun.
	Detach bool
	// Around is called before the command starts, and its end afterwards; may be nil.
	Around func(ctx context.Context, id compute.ID, conn compute.Conn, cmd *compute.Command) (end func(), err error)
	// Printer tells the user about progress; nil: no output.
	Printer session.Printer
}

// RecordOptions say how to record the run.
type RecordOptions struct {
	Log      *runlog.Log // nil: no record
	Limits   runlog.Limits
	NoOutput bool          // do not record the command's output
	As       runlog.Record // what is known before the run
	// Key makes the run begin only once, however often it is requested; "": each time. Request
	// tells different requests apart.
	Key, Request string
	// Follow starts a process that records a run which outlives this one. known says that hide has
	// every value to leave out.
	Follow func(run string, hide []string, known bool) error
}

// isShell reports whether neither a command nor a script is given.
func (o *Options) isShell() bool { return len(o.Args) == 0 && o.Script == nil }
