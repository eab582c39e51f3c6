package run

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/artifacts"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/session"
	"github.com/hostler-project/hostler/run/worktree"
	"github.com/hostler-project/hostler/text/words"
)

// Run runs a command on an instance. The error is a exitstatus.Exit if the command ended with that
// status.
func Run(ctx context.Context, b session.Backend, o Options) (*Result, error) {
	r := New(b, o)
	err := r.Run(ctx)
	return r.Result(), err
}

// Result says how a run went and ended.
type Result struct {
	Instance compute.Instance
	Lease    compute.Lease
	Acquired bool          // the instance was acquired for the run alone
	Exit     *compute.Exit // of the command; nil: it has not ended
	Record   runlog.Record // filled in even if the run is not recorded
	Recorded bool          // the run can be found by its id
	// Earlier is the earlier run with the same key, whose result was given again; nil: none.
	Earlier *runlog.Record

	Started, Begun, Ended time.Time // Begun is zero if the command never began
}

// Runner is one run. Use it once.
type Runner struct {
	Options
	Session    *session.Session
	Interrupts Interrupts

	way       session.Way // the way to the instance
	collector artifacts.Collector
	collected *artifacts.Result // nil: nothing was brought back
	outputs   []*outputStream   // our streams for the command's output
	rec       *record           // nil: the run has not begun

	scanned *worktree.Scan // the last scan, which is stale; nil: none
	copy    treeCopy

	key    *runlog.Key // held until the run is bound to it; nil: none
	phases runlog.Phases
	result Result
}

// New returns a run that has not begun.
func New(b session.Backend, o Options) *Runner {
	if o.Printer == nil {
		o.Printer = session.Silent{}
	}
	r := &Runner{Options: o, Interrupts: Interrupts{stop: o.Stop}}
	r.Session = &session.Session{Backend: b, Printer: o.Printer, Options: o.Session}
	r.result.Started = time.Now()
	r.collector.Options, r.collector.Hidden = o.Artifacts, o.Env.Hide
	return r
}

// Result returns what is known of the run so far.
func (r *Runner) Result() *Result {
	out := r.result
	out.Instance, out.Lease, out.Acquired = r.Session.Instance, r.Session.Lease, r.Session.Temporary
	if r.rec != nil {
		out.Record, out.Recorded = r.rec.Record(), r.recorded()
	}
	out.Record.Phases = r.phases
	return &out
}

// Artifacts returns what was brought back; nil if nothing was wanted.
func (r *Runner) Artifacts() *artifacts.Result { return r.collected }

// Run does the whole run, from beginning to end.
func (r *Runner) Run(ctx context.Context) (err error) {
	if r.Record.Key != "" {
		if told, err := r.takeKey(ctx); told || err != nil {
			return err
		}
	}
	err = r.Begin()
	defer func() { r.End(err, context.Cause(ctx)) }()
	if err != nil {
		return err
	}
	ctx, stop := r.Interrupts.Listen(ctx, r.Signals)
	s := r.Session
	defer s.Backend.Close()
	if r.Tree != nil && !r.Shared {
		defer r.Tree.Close()
	}
	defer stop() // runs first and ends pending requests
	if r.Tree != nil {
		r.copy.sent = make(chan struct{})
		r.Tree.Begin(ctx, nil)
	}
	if s.Options.Dir = r.Dir; r.Bound != "" || r.Tree != nil {
		s.Options.NoTree = true
	}
	if err := r.obtain(ctx); err != nil {
		return r.Interrupts.Interrupted(err, false)
	}
	defer func() {
		if !r.keepFailed(err) {
			defer phase(&r.phases.Release)()
			s.ReleaseTemporary(ctx)
		}
	}()
	err = r.command(ctx)
	if r.Commanded != nil {
		r.Commanded(r, err)
	}
	return r.Interrupts.Interrupted(err, !r.result.Begun.IsZero())
}

// phase starts a clock. The returned function adds the time to a phase.
func phase(of *float64) func() {
	start := time.Now()
	return func() { *of += time.Since(start).Seconds() }
}

// obtain finds or acquires the instance.
func (r *Runner) obtain(ctx context.Context) error {
	obtained := phase(&r.phases.Acquire)
	err := r.Session.Obtain(ctx, r.Name)
	obtained()
	r.phases.Queue = r.Session.Queued.Seconds()
	r.phases.Acquire -= r.phases.Queue
	return err
}

// enter connects to the instance. Time for a replacement instance counts as acquiring.
func (r *Runner) enter(ctx context.Context) (conn compute.Conn, err error) {
	queued := r.Session.Queued
	connected := phase(&r.phases.Connect)
	conn, r.way, err = r.Session.ConnectOrReplace(ctx)
	connected()
	queued = r.Session.Queued - queued
	r.phases.Connect -= r.Session.Replacing.Seconds()
	r.phases.Acquire += (r.Session.Replacing - queued).Seconds()
	r.phases.Queue += queued.Seconds()
	return conn, err
}

// keepFailed reports whether the instance stays because the run failed, and tells the user what to
// do with it.
func (r *Runner) keepFailed(err error) bool {
	s := r.Session
	if err == nil || !s.Options.KeepFailed || !s.Temporary {
		return false
	}
	s.Temporary = false
	until := ""
	lease := s.Current()
	if end := lease.Deadline(); !end.IsZero() {
		until = " for " + words.Duration(time.Until(end).Round(time.Second)) + " unless it is used"
	}
	name := lease.Handle()
	r.Printer.Warn(
		"the command failed, and %s is kept%s:\n  hostler shell %s\n  hostler rerun %s --on %s\n  hostler release %s",
		s.Instance.ID, until, name, r.rec.ID(), name, name,
	)
	return true
}

// errTimeout is the cause when the command's time limit ends it.
var errTimeout = errors.New("--timeout")
