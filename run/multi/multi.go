// Package multi runs a command on several instances at once: all of it on each, or a shard on each.
package multi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/session"
)

// Options say what to run, and on how many instances.
type Options struct {
	Run      run.Options
	Source   string
	Total    int
	Together bool // acquire all instances at once, and run the whole command on each
	Parallel int  // the most parts at a time; 0: all
	FailFast bool // the first failure ends the other parts

	Backend session.Backend // for acquiring instances together
	// Part makes what one part needs. close releases it.
	Part func(stdout, stderr io.Writer) (b session.Backend, p session.Printer, close func())
	// Print prints a line of a part's output.
	Print printFunc
	// UntilSignal returns a context that ends with a signal. Running parts handle signals
	// themselves.
	UntilSignal func(context.Context) (_ context.Context, stop func())
	// Finish reports how all parts ended, and returns the error for the whole.
	Finish func(m *Runs, err error) error
}

// Runs are the runs of one command on several instances.
type Runs struct {
	Options
	Parts []*Part
	Whole *run.Runner // its record is that of the whole
	Begun time.Time

	lines  lines
	mu     sync.Mutex
	first  *Part // the first part that failed
	cancel context.CancelCauseFunc
}

// Run runs the command on several instances.
func Run(ctx context.Context, o Options) (err error) {
	m := &Runs{Options: o, Begun: time.Now(), lines: lines{print: o.Print}}
	ctx, m.cancel = context.WithCancelCause(ctx)
	defer m.cancel(nil)
	m.Whole = run.New(o.Backend, o.Run)
	if err := m.Whole.Begin(); err != nil {
		return err
	}
	defer func() { m.Whole.End(err, nil) }()
	if tree := o.Run.Tree; tree != nil {
		tree.Begin(ctx, nil)
		defer tree.Close()
		tree.PackOnce()
		m.Options.Run.Shared = true
	}
	if o.Together {
		err = m.runTogether(ctx)
	} else {
		err = m.runSeparately(ctx)
	}
	return o.Finish(m, err)
}

// add makes the run of a part. moved is told of an instance that replaces the given one; may be
// nil.
func (m *Runs) add(index int, moved func(*Part, compute.Lease)) *Part {
	p := &Part{Index: index, Label: fmt.Sprintf("[%d/%d] ", index, m.Total), State: NotBegun}
	p.out, p.errs = &lineWriter{of: &m.lines, part: p, stream: "stdout"}, &lineWriter{of: &m.lines, part: p, stream: "stderr"}
	o := singleOptions(m.Options.Run)
	if !m.Together {
		o = Shard(m.Options.Run, index, m.Total)
	}
	o.Record.As.Parent = ""
	if m.Whole.Recording().Err() == nil {
		o.Record.As.Parent = m.Whole.Recording().ID()
	}
	o.Stdout, o.Stderr = p.out, p.errs
	if moved != nil {
		o.Session.Replaced = func(l compute.Lease) { moved(p, l) }
	}
	var b session.Backend
	b, o.Printer, p.close = m.Part(p.out, p.errs)
	p.Runner = run.New(b, o)
	m.Parts = append(m.Parts, p)
	return p
}

// runTogether acquires all instances at once, and runs on all of them.
func (m *Runs) runTogether(ctx context.Context) error {
	o := m.Options.Run.Session
	o.Dir, o.NoTree = m.Options.Run.Dir, m.Options.Run.Tree != nil
	engine, err := m.Backend.Open(ctx, "")
	if err != nil {
		return err
	}
	req, err := m.Backend.Request(ctx, m.Source, &o)
	if err != nil {
		return err
	}
	req.Count = m.Total
	asking, stop := m.UntilSignal(ctx)
	defer stop() // last: the runs handle signals themselves
	asked := time.Now()
	leases, _, err := m.Backend.Acquire(asking, req)
	if err != nil {
		return err
	}
	req.Count = 1
	slices.SortFunc(leases, func(x, y compute.Lease) int { return compareNames(string(x.Instance), string(y.Instance)) })
	width := 0
	for _, l := range leases {
		width = max(width, len(l.Handle()))
	}
	label := func(p *Part, l compute.Lease) { p.Label = fmt.Sprintf("%-*s| ", width, l.Handle()) }
	for i := range leases {
		p := m.add(i+1, label)
		label(p, leases[i])
		s := p.Runner.Session
		s.Given, s.Engine, s.Requested, s.RequestedAt = &leases[i], engine, &req, asked
		s.Who = m.Backend.Who(ctx, string(leases[i].Instance))
		s.Who.Admin = o.Any
	}
	var all sync.WaitGroup
	for _, p := range m.Parts {
		if asking.Err() != nil {
			m.releaseUnused(ctx, p)
			continue
		}
		all.Go(func() { m.run(ctx, p) })
	}
	all.Wait()
	return interrupted(ctx, asking)
}

// interrupted returns the error when the user ended the runs. The failure of a part gives none.
func interrupted(ctx, wanted context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	return wanted.Err()
}

// releaseUnused releases the instance of a part that does not begin.
func (m *Runs) releaseUnused(ctx context.Context, p *Part) {
	if s := p.Runner.Session; s.Given != nil && s.Obtain(ctx, "") == nil {
		s.ReleaseTemporary(ctx)
	}
}

// compareNames orders names of instances, by their numbers if they differ in these alone.
func compareNames(x, y string) int {
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
}

// runSeparately runs each part as soon as it has an instance.
func (m *Runs) runSeparately(ctx context.Context) error {
	wanted, stop := m.UntilSignal(ctx) // running parts handle signals themselves
	defer stop()
	most := m.Total
	if m.Parallel > 0 {
		most = min(most, m.Parallel)
	}
	for i := range m.Total {
		m.add(i+1, nil)
	}
	turns := make(chan struct{}, most)
	var all sync.WaitGroup
	for _, p := range m.Parts {
		select {
		case turns <- struct{}{}:
		case <-wanted.Done():
		}
		if ctx.Err() != nil {
			p.State = Cancelled
			continue
		}
		if wanted.Err() != nil {
			break
		}
		all.Go(func() {
			m.run(ctx, p)
			<-turns
		})
	}
	all.Wait()
	return interrupted(ctx, wanted)
}

// run runs one part from beginning to end.
func (m *Runs) run(ctx context.Context, p *Part) {
	m.mu.Lock()
	late := m.first != nil && m.FailFast
	p.State = Passed
	if late {
		p.State = Cancelled
	}
	m.mu.Unlock()
	if late {
		m.releaseUnused(ctx, p)
		return
	}
	begun := time.Now()
	err := p.Runner.Run(ctx)
	p.close()
	cancelled := errors.Is(context.Cause(ctx), run.ErrCancelled)
	if err != nil && !cancelled && !errors.As(err, new(exitstatus.Exit)) {
		p.Runner.Printer.Tell(err)
	}
	p.Took = time.Since(begun)
	p.out.end()
	p.errs.end()
	m.done(p, err, errors.Is(context.Cause(ctx), run.ErrCancelled))
}

// done records how a part ended.
func (m *Runs) done(p *Part, err error, cancelled bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.Err = err
	by := p.Runner.Interrupts.By()
	switch {
	case err == nil:
	case cancelled && m.first != nil:
		p.State = Cancelled
	case by != "" && p.Runner.Result().Begun.IsZero():
		p.State = NotBegun
	case by != "": // the others got the signal themselves
		p.State = Interrupted
	default:
		p.State = Failed
		if m.first == nil {
			m.first = p
			if m.FailFast {
				m.cancel(run.ErrCancelled)
			}
		}
	}
}

// Status returns the exit status of the whole. The worst problem of hostler's own comes first.
// Otherwise it is the status with which commands failed, or 1 if they differ.
func (m *Runs) Status() int {
	ours := []int{exitstatus.NotBegun, exitstatus.Lost, exitstatus.Timeout}
	worst, agreed := len(ours), 0
	for _, p := range m.Parts {
		n := p.Exit()
		if p.State != Failed || n == 0 {
			continue
		}
		if i := slices.Index(ours, n); i >= 0 && p.Runner.Result().Exit == nil {
			worst = min(worst, i)
		}
		if agreed == 0 {
			agreed = n
		} else if agreed != n {
			agreed = -1
		}
	}
	switch {
	case worst < len(ours):
		return ours[worst]
	case agreed < 0:
		return 1
	}
	return agreed
}
