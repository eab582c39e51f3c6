package run

import (
	"context"
	"io"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/artifacts"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/session"
	"github.com/hostler-project/hostler/run/worktree"
)

// Options say what is run, where, and what goes along. The zero value of each is useful but for
// Args: without these it is a shell.
type Options struct {
	// Name is an instance's, a lease's or a source's, of which an instance is acquired; "": the
	// default source's.
	Name    string
	Session session.Options

	Args       []string
	Script     []byte // run in place of a command, with Args as its arguments; nil: none
	ScriptName string
	Dir        string // where the command starts, relative to where it would start else
	User       string
	Env        Environment
	Timeout    time.Duration // 0: none

	Stdin          io.Reader // nil: none
	Stdout, Stderr io.Writer // nil: nowhere
	// Terminal gives the command a terminal; nil: it has none. restore ends that here.
	Terminal func(cmd *compute.Command) (restore func(), err error)
	// Typed: Stdin is a terminal that the command has not. It gets what is typed there on this
	// machine itself, and elsewhere if Forward says so.
	Typed, Forward bool
	// Signals has the signals of this process go to the command, or end what comes before it.
	Signals bool
	// Stop, when closed, is as if TERM came; nil: never.
	Stop <-chan struct{}

	Tree   *worktree.Tree // sent before the command begins; nil: none
	Shared bool           // the tree is that of several runs, one of which closes it
	Sync   SyncOptions
	// Bound is the directory on the instance where the tree itself is mounted; "": it is not.
	Bound string

	Artifacts artifacts.Options
	// Collected hears of what was brought back before the instance is given back; may be nil.
	Collected func(*Runner, *artifacts.Result)
	// Commanded hears how the command ended, before the instance is given back; may be nil.
	Commanded func(r *Runner, err error)
	// Verbose has the run say at its end how long each part took.
	Verbose bool

	Record RecordOptions
	// Detach leaves the command to itself once it has begun.
	Detach bool
	// Around is called with the command before it begins, and end after it; may be nil.
	Around func(ctx context.Context, id compute.ID, conn compute.Conn, cmd *compute.Command) (end func(), err error)
	// Printer tells the user how the run comes on; nil: nobody.
	Printer session.Printer
}

// SyncOptions say what becomes of the tree's copy on the instance.
type SyncOptions struct {
	Clean  bool // remove what commands have left in it
	Fresh  bool // begin with an empty one
	Own    bool // where another run has it, make one for this run alone
	Delete bool // delete there however many files are gone here
}

// RecordOptions say how the run is recorded.
type RecordOptions struct {
	Log      *runlog.Log // nil: it is not recorded
	Limits   runlog.Limits
	NoOutput bool          // nor is what the command writes
	As       runlog.Record // what is known of the run before it begins
	// Key has the run begin once, however often it is asked for; "": each time. Request tells what
	// is asked for from other runs.
	Key, Request string
	// Follow starts a process that records a run that goes on without this one. known: hide is all
	// that is not to be recorded.
	Follow func(run string, hide []string, known bool) error
}

// isShell reports whether there is no command.
func (o *Options) isShell() bool { return len(o.Args) == 0 && o.Script == nil }
