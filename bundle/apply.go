package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// The possible actions of an Outcome.
const (
	Same    = "unchanged" // it was right already
	Skipped = "skipped"   // its condition does not hold
	Running = "running"   // only in calls of Notify
	Done    = "done"
	Failed  = "failed"
	Pending = "pending" // not done: with DryRun, or an earlier step failed
)

// Outcome says what became of one step. Exit, Took, Stdout and Stderr are for scripts that ran.
type Outcome struct {
	Step   *Step
	Action string        // Same, Skipped, Done, Failed or Pending
	Why    string        // why it was done or skipped
	Exit   int           // the exit status
	Err    error         // why it failed
	Took   time.Duration // how long it ran
	Stdout string        // the end of it, secrets masked
	Stderr string        // the end of it, secrets masked
	Diff   string        // the changes of a file, with Options.Diff
}

// Result has an Outcome for each step, in their order.
type Result struct{ Outcomes []Outcome }

// Changed counts the steps that were done, or with DryRun would be done.
func (r *Result) Changed() (n int) {
	for _, o := range r.Outcomes {
		if o.Action == Done || o.Action == Pending || o.Action == Failed {
			n++
		}
	}
	return n
}

// kept is how many bytes of a script's output a Result keeps.
const kept = 64 << 10

// ApplyOptions say how to apply a plan. The zero value applies it as root.
type ApplyOptions struct {
	// what the source knows of the computer; the computer adds its own facts
	Facts Facts
	// "root": as root, by sudo if needed; "self": as the connection's user; "": root
	As string
	// the record's directory on the computer; "": /var/lib/hostler/bundle, or below the home of a
	// user who is not root
	State    string
	DryRun   bool          // report what would be done, and do nothing
	Diff     bool          // report what would change in files
	Continue bool          // go on after a script that failed
	LockWait time.Duration // for another Apply to end; 0: one minute; negative: not at all

	// most steps are expected to be due, as on a new computer: there is no check before the lock is
	// taken
	Due bool

	// Reconnect opens another connection after contact was lost. A script that still runs is waited
	// for; one that ended is not run again. Tries bounds the calls; 0: 3. With nil, the Apply
	// fails.
	Reconnect func(ctx context.Context) (compute.Conn, error)
	Tries     int

	// Output returns where a script's output goes as it comes, with secrets masked. Output and the
	// writers may be nil.
	Output func(*Step) (stdout, stderr io.Writer)
	// Notify is called when a step begins (Running) and when it ends, one call at a time; may be
	// nil.
	Notify func(Outcome)
}

// Apply brings a computer to a plan: keys, then files, then scripts, in order. It does only what is
// not as it should be. It records on the computer what it has done, so an Apply after a failure
// goes on where that stopped. If everything is done, it costs one command. A second Apply on the
// same computer waits for the first.
//
// The Result is never nil, even with an error. The error is about the first step that failed. Its
// kind is one of these:
//
//   - ErrFailed, ErrTimeout or ErrLost
//   - ErrDenied: there is no way to become root
//   - ErrConflict: another Apply is running
//   - what the connection says
//
// When ctx ends, the running script is ended.
func Apply(ctx context.Context, conn compute.Conn, p *Plan, opt ApplyOptions) (*Result, error) {
	a := &applier{plan: p, opt: opt, begun: map[string]*run{}, over: map[string]bool{}}
	if provider.Simulated(conn) {
		return a.dryRun(ctx, conn)
	}
	tries := opt.Tries
	if tries <= 0 {
		tries = 3
	}
	for try := 1; ; try++ {
		err := a.attempt(ctx, &remoteShell{conn, opt.As, opt.State})
		if err == nil || !lostContact(err) || ctx.Err() != nil || opt.Reconnect == nil {
			return a.result(), a.failure(ctx, err)
		}
		if try == tries {
			return a.result(), fmt.Errorf("%w; contact was lost %d times", err, tries)
		}
		again, e := opt.Reconnect(ctx)
		if e != nil {
			return a.result(), errors.Join(err, e)
		}
		defer again.Close()
		conn = again
	}
}

// dryRun runs all steps on a computer that only simulates: it takes each script as a command.
func (a *applier) dryRun(ctx context.Context, conn compute.Conn) (*Result, error) {
	if err := a.decide(&remoteState{}); err != nil {
		return a.result(), err
	}
	for i := range a.out {
		o := &a.out[i]
		if o.Action != Pending || a.opt.DryRun {
			continue
		}
		a.report(o, Running)
		r := newRun()
		status := "0"
		if o.Step.Kind == KindScript {
			stdout, stderr := a.streams(o.Step, r)
			limited, cancel := context.WithTimeout(ctx, o.Step.Timeout)
			exit, err := conn.Run(
				limited,
				&compute.Command{Args: []string{"/" + o.Step.Name}, Stdin: strings.NewReader(o.Step.Text), Stdout: stdout, Stderr: stderr},
			)
			cancel()
			r.flush()
			switch {
			case ctx.Err() != nil:
				return a.result(), fmt.Errorf("%s: %w", o.Step.Title(), ctx.Err())
			case errors.Is(err, context.DeadlineExceeded):
				status = "timeout"
			case err != nil:
				return a.result(), fmt.Errorf("%s: %w", o.Step.Title(), err)
			default:
				status = fmt.Sprint(exit.Status())
			}
		}
		if a.end(ctx, o, r, status); a.stops(o) {
			break
		}
	}
	return a.result(), a.failure(ctx, nil)
}

// applier is the state of one Apply.
type applier struct {
	plan  *Plan
	opt   ApplyOptions
	steps []*Step
	out   []Outcome
	begun map[string]*run // the scripts that this Apply began, by ID
	over  map[string]bool // the scripts whose end was reported
}

func (a *applier) result() *Result { return &Result{a.out} }

// failure returns err, or else the first error of a step.
func (a *applier) failure(ctx context.Context, err error) error {
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = errors.Join(ctx.Err(), err)
		}
		return err
	}
	for _, o := range a.out {
		if o.Err != nil {
			return o.Err
		}
	}
	return nil
}

// attempt does the work over one connection.
func (a *applier) attempt(ctx context.Context, l *remoteShell) error {
	if a.opt.Due && !a.opt.DryRun && !a.opt.Diff {
		return a.applyLocked(ctx, l)
	}
	s, err := l.check(ctx, a.plan)
	if err != nil {
		return err
	}
	if err := a.decide(s); err != nil {
		return err
	}
	if a.opt.DryRun || a.opt.Diff {
		if err := a.diffs(ctx, l); err != nil {
			return err
		}
	}
	if a.opt.DryRun || !a.pending() && len(a.unfinished()) == 0 {
		return nil
	}
	return a.applyLocked(ctx, l)
}

// applyLocked does the work once it has the lock.
func (a *applier) applyLocked(ctx context.Context, l *remoteShell) error {
	h, s, err := l.lock(ctx, a.plan, a.opt.LockWait)
	if err != nil {
		return err
	}
	defer h.release()
	return a.change(ctx, l, s)
}

// decide finds out which steps are to be done.
func (a *applier) decide(s *remoteState) error {
	facts := Facts{}
	maps.Copy(facts, s.facts)
	for k, v := range a.opt.Facts {
		if v != "" {
			facts[k] = v
		}
	}
	if facts["os"] == "" {
		facts["os"] = "linux" // there was no check
	}
	steps, err := a.plan.Render(facts)
	if err != nil {
		return err
	}
	was := map[stepName]Outcome{}
	for _, o := range a.out {
		was[nameOf(o.Step)] = o
	}
	a.steps, a.out = steps, make([]Outcome, len(steps))
	for i, st := range steps {
		before := was[nameOf(st)]
		o := Outcome{Step: st, Action: Pending, Diff: before.Diff}
		switch {
		case st.Skip != "":
			o.Action, o.Why = Skipped, "not "+st.Skip
		case before.Action == Done && st.Kind != KindScript, a.over[st.ID()]:
			o = before
			o.Step = st
		case st.Kind == KindKey:
			o.Why = "new"
			if s.keys[st.Key] {
				o.Why = ""
			}
		case st.Kind == KindFile:
			o.Why = s.wants(st)
		default:
			o.Why = s.due(st, steps)
		}
		if o.Why == "" && o.Action == Pending {
			o.Action, o.Diff = Same, ""
		}
		a.out[i] = o
	}
	return nil
}

// stepName identifies a step within its plan, also when the facts, and so the set of steps, have
// changed.
type stepName struct{ kind, bundle, name, key string }

func nameOf(st *Step) stepName { return stepName{st.Kind, st.Bundle, st.Name, st.Key} }

func (a *applier) pending() bool {
	for _, o := range a.out {
		if o.Action == Pending {
			return true
		}
	}
	return false
}

// unfinished lists the scripts that this Apply began and whose end it does not know.
func (a *applier) unfinished() (out []*Outcome) {
	for i := range a.out {
		if st := a.out[i].Step; st.Kind == KindScript && a.begun[st.ID()] != nil && !a.over[st.ID()] {
			out = append(out, &a.out[i])
		}
	}
	return out
}

func (a *applier) report(o *Outcome, action string) {
	o.Action = action
	if a.opt.Notify != nil {
		told := *o
		a.opt.Notify(told)
	}
}

// change does the steps that are due, while the lock is held.
func (a *applier) change(ctx context.Context, l *remoteShell, s *remoteState) error {
	if s.salt == "" {
		s.salt = newToken() + newToken()
		s.fresh = true
	}
	if err := a.decide(s); err != nil {
		return err
	}
	waited := false
	for i := range a.out {
		st := a.out[i].Step
		if st.Kind != KindScript || a.over[st.ID()] || s.alive[st.ID()] == "" && a.begun[st.ID()] == nil {
			continue
		}
		if err := a.await(ctx, l, &a.out[i], s.alive[st.ID()]); err != nil {
			return err
		}
		waited = true
		if a.stops(&a.out[i]) {
			return nil
		}
	}
	if waited {
		again, err := l.check(ctx, a.plan)
		if err != nil {
			return err
		}
		if again.salt == "" {
			again.salt, again.fresh = s.salt, true
		}
		if s = again; s != nil {
			if err := a.decide(s); err != nil {
				return err
			}
		}
	}
	if err := a.writeFiles(ctx, l, s); err != nil {
		return err
	}
	return a.scripts(ctx, l, s)
}

// stops reports whether the end of a script ends the whole Apply.
func (a *applier) stops(o *Outcome) bool {
	return o.Action == Failed && !o.Step.carryOn && !a.opt.Continue
}

// end fills in an outcome by a script's status.
func (a *applier) end(ctx context.Context, o *Outcome, r *run, status string) {
	var err error
	st := o.Step
	switch status {
	case "0":
	case "timeout":
		err = &compute.Error{Kind: compute.ErrTimeout, Err: fmt.Errorf("%s: its time, %v, was up%s", st.Title(), st.Timeout, lastLine(r))}
	case "stopped":
		err = errors.Join(context.Cause(ctx), &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("%s: it was stopped", st.Title())})
	case "unwritten":
		err = &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("%s: cannot write the script there: is its disk full?", st.Title())}
	default:
		_, _ = fmt.Sscan(status, &o.Exit)
		err = &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("%s: status %s%s", st.Title(), status, lastLine(r))}
	}
	a.ended(o, r, status, err)
}

// ended completes the outcome of a script and reports it.
func (a *applier) ended(o *Outcome, r *run, status string, err error) {
	a.over[o.Step.ID()] = true
	o.Took, o.Stdout, o.Stderr, o.Err = time.Since(r.began), r.stdout.String(), r.stderr.String(), err
	if err != nil {
		a.report(o, Failed)
		return
	}
	a.report(o, Done)
}

// lastLine returns the last line of a script's output.
func lastLine(r *run) string {
	for _, t := range []*tail{r.stderr, r.stdout} {
		lines := strings.Split(strings.TrimSpace(t.String()), "\n")
		if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
			return fmt.Sprintf(": %.300s", last)
		}
	}
	return ""
}

// environment is one line of shell that exports variables. In the values, $hl_n is a newline.
func environment(env map[string]string) string {
	var b strings.Builder
	for _, k := range sortedKeys(env) {
		v := strings.ReplaceAll(strings.ReplaceAll(env[k], "'", `'\''`), "\n", `'"$hl_n"'`)
		fmt.Fprintf(&b, "export %s='%s'; ", k, v)
	}
	return b.String()
}
