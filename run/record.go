package run

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/status"
	"github.com/hostler-project/hostler/run/worktree"
)

// ErrCancelled is the cause of the end of a run's context when another one of several had failed.
// The run has not failed itself.
var ErrCancelled = errors.New("another one failed")

// Begin records that the run begins, before anything is asked of anybody. That it cannot be
// recorded stops no run but one with a key.
func (r *Runner) Begin() error {
	o, hide := &r.Record, r.Env.Hide
	rec := o.As
	rec.Verb, rec.Target, rec.Args, rec.Key = cmp.Or(rec.Verb, "run"), r.Name, append([]string{}, r.Args...), o.Key
	rec.Started, rec.Env, rec.Flags = r.result.Started.Round(0), []string{}, slices.Clone(rec.Flags)
	if rec.Directory, _ = os.Getwd(); rec.Directory != "" && o.Log != nil {
		rec.Head = worktree.Head(rec.Directory)
	}
	for _, list := range [][]string{rec.Args, rec.Flags} {
		for i, w := range list {
			list[i] = redact.String(w, hide)
		}
	}
	log := o.Log
	if log == nil {
		log = &runlog.Log{} // so that the run has an id
	}
	run, _ := log.Begin(rec)
	r.rec = &record{Run: run, hide: hide, silent: o.Log == nil || o.NoOutput || r.isShell()}
	if o.Log != nil && run.Err() == nil && log.Due(run.ID()) {
		// the next one tries again
		r.rec.pruning.Go(func() { _, _ = log.Prune(context.Background(), o.Limits, false) })
	}
	return r.bindKey()
}

// End records how the run ended. cause: why its context has ended, if it has.
func (r *Runner) End(err, cause error) {
	r.rec.pruning.Wait()
	if r.rec.left {
		return
	}
	r.noteLease()
	exit := r.result.Exit
	r.rec.End(func(rec *runlog.Record) {
		n := status.OfRun(err)
		rec.Exit, rec.Begun, rec.Phases = &n, !r.result.Begun.IsZero(), r.phases
		r.rec.countOutputs(rec)
		var own status.Exit
		switch {
		case err != nil && errors.Is(cause, ErrCancelled):
			rec.Kind = runlog.Cancelled
		case exit != nil:
			rec.Signal, rec.Reason = exit.Signal, exit.Reason
		case errors.As(err, &own):
			rec.Kind = OwnKinds[own]
		case err != nil:
			rec.Kind, rec.Error = status.KindName(err), redact.String(api.Text(err), r.rec.hide)
		}
	})
	if r.Verbose {
		rec := r.rec.Record()
		r.Printer.Warn("%s: ended with %s after %s; %s; run %s", cmp.Or(rec.Instance, "-"), rec.How(), rec.Took(), rec.Phases, rec.ID)
	}
	if err := r.rec.Err(); err != nil && r.Record.Log != nil && !r.result.Begun.IsZero() {
		r.Printer.Say("the run goes on without its record: %v", err)
	}
}

// OwnKinds are the kinds of the statuses that are told where they come about.
var OwnKinds = map[status.Exit]string{status.Timeout: "timeout", status.Missing: "missing"}

// Recording is the run's record while it is written. The run has begun.
func (r *Runner) Recording() *runlog.Run { return r.rec.Run }

// noteLease tells the record where the run is.
func (r *Runner) noteLease() {
	s := r.Session
	r.rec.Note(func(rec *runlog.Record) {
		rec.Instance, rec.Source, rec.Lease, rec.Name = string(s.Instance.ID), s.Instance.Source, s.Lease.ID, s.Lease.Name
		rec.Kept = s.Lease.ID != "" && !s.Temporary
	})
}

// recordCommand records what is run, as it begins. A run with a key must not begin if that cannot
// be recorded.
func (r *Runner) recordCommand(env map[string]string) error {
	r.noteLease()
	r.rec.Update(func(rec *runlog.Record) {
		rec.Begun, rec.Phases = true, r.phases
		for _, name := range slices.Sorted(maps.Keys(env)) {
			if !strings.HasPrefix(name, "HOSTLER_") {
				rec.Env = append(rec.Env, name)
			}
		}
	})
	if r.Record.Key == "" {
		return nil
	}
	return cannotRecord(r.rec.Sync())
}

// id is what the command knows the run by.
func (r *Runner) id() string { return r.rec.ID() }

// recorded reports whether the run can be found by its id.
func (r *Runner) recorded() bool { return r.Record.Log != nil && r.rec.Err() == nil }

// output is what of a command's writing goes into the record.
type output struct {
	name   string
	stream *runlog.Stream
	to     *redact.Writer
}

// record is a run's record while it is written.
type record struct {
	*runlog.Run
	hide    []string // values that are not recorded
	silent  bool     // nor what it writes
	outputs []*output
	left    bool           // another process has it now
	pruning sync.WaitGroup // of older records
}

// output returns a writer into the record; nil: nothing is recorded of it.
func (r *record) output(name string) io.Writer {
	if r.silent {
		return nil
	}
	s := r.Stream(name)
	out := &output{name, s, redact.NewWriter(s, r.hide)}
	r.outputs = append(r.outputs, out)
	return out.to
}

// endOutputs records what was held back as the possible beginning of a secret.
func (r *record) endOutputs() {
	for _, out := range r.outputs {
		_ = out.to.Close() // a stream takes all
	}
}

func (r *record) countOutputs(rec *runlog.Record) {
	for _, out := range r.outputs {
		if out.name == "stdout" {
			rec.Bytes.Stdout = out.stream.Bytes()
		} else {
			rec.Bytes.Stderr = out.stream.Bytes()
		}
	}
}

// join leads what the command writes to where ours goes, and into the record. bare: it gets our own
// terminal as it is, as commands of this machine do, and keeps the order of both outputs where
// these are one file.
func (r *Runner) join(cmd *compute.Command, bare bool) {
	to := func(w io.Writer, name, known string) io.Writer {
		if w == nil {
			w = io.Discard
		}
		if bare && (r.Record.Log == nil || isTerminal(w)) {
			return w
		}
		also := r.rec.output(known)
		if bare && also == nil {
			return w
		}
		out := &written{to: w, name: name, also: also}
		r.written = append(r.written, out)
		return out
	}
	cmd.Stdout = to(r.Stdout, "standard output", "stdout")
	if _, taken := cmd.Stdout.(*written); taken && bare && sameFile(r.Stdout, r.Stderr) {
		cmd.Stderr = cmd.Stdout
		return
	}
	cmd.Stderr = to(r.Stderr, "standard error", "stderr")
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// sameFile reports whether two streams are one.
func sameFile(a, b io.Writer) bool {
	f, ok := a.(*os.File)
	g, also := b.(*os.File)
	if !ok || !also {
		return false
	}
	one, err := f.Stat()
	other, err2 := g.Stat()
	return err == nil && err2 == nil && os.SameFile(one, other)
}
