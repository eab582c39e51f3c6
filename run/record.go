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
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/worktree"
)

// ErrCancelled is the cause when the context of a run ends because another one of several has
// failed. The run itself has not failed.
var ErrCancelled = errors.New("another one failed")

// Begin records that the run begins, before anything is requested. If it cannot be recorded, only a
// run with a key fails.
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
		// a failure is left to the next run
		r.rec.pruning.Go(func() { _, _ = log.Prune(context.Background(), o.Limits, false) })
	}
	return r.bindKey()
}

// End records how the run ended. cause is why its context ended, or nil.
func (r *Runner) End(err, cause error) {
	r.rec.pruning.Wait()
	if r.rec.left {
		return
	}
	r.noteLease()
	exit := r.result.Exit
	r.rec.End(func(rec *runlog.Record) {
		n := exitstatus.OfRun(err)
		rec.Exit, rec.Begun, rec.Phases = &n, !r.result.Begun.IsZero(), r.phases
		r.rec.countOutputs(rec)
		switch {
		case err != nil && errors.Is(cause, ErrCancelled):
			rec.Kind = runlog.Cancelled
		case exit != nil:
			rec.Signal, rec.Reason = exit.Signal, exit.Reason
		case err != nil:
			var told bool
			if rec.Kind, told = exitstatus.KindOfRun(err); !told {
				rec.Error = redact.String(api.Text(err), r.rec.hide)
			}
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

// Recording returns the record that is being written. The run must have begun.
func (r *Runner) Recording() *runlog.Run { return r.rec.Run }

// noteLease records the instance and the lease of the run.
func (r *Runner) noteLease() {
	s := r.Session
	r.rec.Note(func(rec *runlog.Record) {
		rec.Instance, rec.Source, rec.Lease, rec.Name = string(s.Instance.ID), s.Instance.Source, s.Lease.ID, s.Lease.Name
		rec.Kept = s.Lease.ID != "" && !s.Temporary
	})
}

// recordCommand records the command as it begins. A run with a key must not begin if that fails.
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

// id returns the run's id, as the command knows it.
func (r *Runner) id() string { return r.rec.ID() }

// recorded reports whether the run can be found by its id.
func (r *Runner) recorded() bool { return r.Record.Log != nil && r.rec.Err() == nil }

// output is one of the command's streams on its way to the record.
type output struct {
	name   string
	stream *runlog.Stream
	to     *redact.Writer
}

// record is the record of a run while it is being written.
type record struct {
	*runlog.Run
	hide    []string // values to leave out of the record
	silent  bool     // leave out the output
	outputs []*output
	left    bool           // another process writes it now
	pruning sync.WaitGroup // the removal of older records
}

// output returns a writer to the record; nil if nothing is to be recorded.
func (r *record) output(name string) io.Writer {
	if r.silent {
		return nil
	}
	s := r.Stream(name)
	out := &output{name, s, redact.NewWriter(s, r.hide)}
	r.outputs = append(r.outputs, out)
	return out.to
}

// endOutputs records the bytes that were held back as a possible beginning of a secret.
func (r *record) endOutputs() {
	for _, out := range r.outputs {
		_ = out.to.Close() // a stream accepts everything
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

// join sends the command's output to our streams and to the record. bare gives the command our own
// terminal, as local commands have it. That keeps the order of both outputs if they are one file.
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
		out := &outputStream{to: w, name: name, also: also}
		r.outputs = append(r.outputs, out)
		return out
	}
	cmd.Stdout = to(r.Stdout, "standard output", "stdout")
	if _, taken := cmd.Stdout.(*outputStream); taken && bare && sameFile(r.Stdout, r.Stderr) {
		cmd.Stderr = cmd.Stdout
		return
	}
	cmd.Stderr = to(r.Stderr, "standard error", "stderr")
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// sameFile reports whether two streams are the same file.
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
