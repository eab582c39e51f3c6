package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// Options say how to supervise.
type Options struct {
	// of the supervisor's records; it is made, and one supervisor at a time has it
	Dir string
	// called in order, by one goroutine; it must not wait for the supervisor. It may be nil.
	Event func(Event)
	Log   *slog.Logger

	// Pauses before a program that did not stay up is started again double from the first to the
	// last; one that stayed up for Settled counts as new. 0: 1 s, 1 min, 10 s.
	First, Last, Settled time.Duration

	// a log that has grown beyond is copied to a second one, LOG.1, and begun anew; 0: 100 KiB
	LogBytes int64
	LogEvery time.Duration // their sizes are looked at so often; 0: 10 s
}

// Supervisor runs programs. Its methods may be called from many goroutines. Each returns when its
// request is recorded and begun; Stop, Restart and Remove return when the programs have ended.
type Supervisor struct {
	lock *os.File
	asks chan func()
	done chan struct{} // closed when the loop has ended
	quit context.CancelFunc
	wg   sync.WaitGroup
	core *core
}

// core has the programs, and changes how they are. It belongs to the loop alone.
type core struct {
	o         Options
	groups    map[string]*group
	events    []Event // to be told
	processes *processes
	cgroups   *cgroups
}

// group is one with its programs' processes.
type group struct {
	name  string
	progs []*program
	gone  bool // it is being removed
	dirty bool // its record is not on the disk
}

// program is one, and how it is.
type program struct {
	Program
	g      *group
	want   bool
	state  State
	since  time.Time
	run    *run
	exit   string
	err    string
	fast   int       // ends in a row that came too soon
	ends   int       // ends since a caller asked for its start
	starts int       // in this wanted period
	next   time.Time // of a Backoff: then it is started again
	kill   time.Time // of a Stopping: then it is ended for good
	again  bool      // of a Stopping: it is started when it has ended
	wait   []chan struct{}
	// its last runs that have ended by themselves, which may have left something that runs
	left []string
}

// run is a process.
type run struct {
	p     *program
	proc  proc.Process
	fd    int
	child bool
	begun time.Time
}

// New makes a supervisor, adopts what runs of the records in its directory, and starts what should
// run and does not. Close ends it and leaves the programs.
func New(o Options) (*Supervisor, error) {
	o.First, o.Last, o.Settled = cmp.Or(o.First, time.Second), cmp.Or(o.Last, time.Minute), cmp.Or(o.Settled, 10*time.Second)
	o.LogBytes, o.LogEvery = cmp.Or(o.LogBytes, 100<<10), cmp.Or(o.LogEvery, 10*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	mark, err := identity(filepath.Join(o.Dir, "id"))
	if err != nil {
		_ = lock.Close()
		return nil, errUnopened(err)
	}
	s := &Supervisor{lock: lock, asks: make(chan func()), done: make(chan struct{})}
	s.core = &core{o: o, groups: map[string]*group{}, processes: newProcesses(mark), cgroups: &cgroups{mark: mark, log: o.Log}}
	if err := s.core.processes.open(); err != nil {
		s.release()
		return nil, errUnopened(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.quit = cancel
	if err := s.core.adopt(); err != nil {
		cancel()
		s.release()
		return nil, err
	}
	s.wg.Go(func() { s.reap(ctx) })
	s.wg.Go(func() { s.loop(ctx) })
	return s, nil
}

// Close ends the supervision; the programs go on.
func (s *Supervisor) Close() error {
	s.quit()
	s.core.processes.ring()
	s.wg.Wait()
	s.release()
	return nil
}

func (s *Supervisor) release() {
	s.core.processes.close()
	_ = s.lock.Close()
}

// reap waits for the ends of all processes.
func (s *Supervisor) reap(ctx context.Context) {
	for ctx.Err() == nil {
		ended, err := s.core.processes.ended()
		if err != nil {
			s.core.o.Log.Error("ends of processes cannot be waited for", "err", err)
			return
		}
		for _, fd := range ended {
			if !s.do(ctx, func() { s.core.processEnded(fd) }) {
				return
			}
		}
	}
}

// do has the loop call something, and returns when it has. false: it has ended.
func (s *Supervisor) do(ctx context.Context, f func()) bool {
	called := make(chan struct{})
	select {
	case s.asks <- func() { defer close(called); f() }:
		<-called
		return true
	case <-s.done:
	case <-ctx.Done():
	}
	return false
}

// loop does one thing after another.
func (s *Supervisor) loop(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	logs := time.Now().Add(s.core.o.LogEvery)
	for {
		now := time.Now()
		s.core.due(now)
		if !now.Before(logs) {
			s.core.rotate()
			logs = now.Add(s.core.o.LogEvery)
		}
		s.core.deliverEvents()
		timer.Reset(time.Until(s.core.nextDue(logs)))
		select {
		case f := <-s.asks:
			f()
		case <-timer.C:
		case <-ctx.Done():
			s.core.save()
			return
		}
		s.core.save()
	}
}

// deliverEvents delivers the events.
func (c *core) deliverEvents() {
	for _, e := range c.events {
		if c.o.Event != nil {
			c.o.Event(e)
		}
	}
	c.events = nil
}

// each calls f with every program.
func (c *core) each(f func(*program)) {
	for _, g := range c.groups {
		for _, p := range g.progs {
			f(p)
		}
	}
}

// nextDue is the time of the loop's next timed work.
func (c *core) nextDue(t time.Time) time.Time {
	running := false
	next := time.Time{}
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	c.each(func(p *program) {
		switch p.state {
		case Backoff:
			sooner(p.next)
		case Stopping:
			sooner(p.kill)
		case Running:
			running = true
		}
	})
	if running {
		sooner(t)
	}
	if next.IsZero() {
		return time.Now().Add(time.Hour)
	}
	return next
}

// due does the timed work.
func (c *core) due(now time.Time) {
	c.each(func(p *program) {
		switch {
		case p.state == Backoff && !now.Before(p.next):
			c.start(p)
		case p.state == Stopping && !now.Before(p.kill):
			c.o.Log.Warn("a program did not stop when it was asked to", "program", p.fullName(), "after", p.stopWait())
			p.kill = now.Add(p.stopWait())
			c.processes.signal(p, unix.SIGKILL)
		}
	})
}

func (p *program) fullName() string { return p.g.name + ":" + p.Name }

func (p *program) stopWait() time.Duration { return cmp.Or(p.StopWait, time.Minute) }

func (p *program) set(state State) { p.state, p.since, p.g.dirty = state, time.Now(), true }

// processEnded is called when a process has ended.
func (c *core) processEnded(fd int) {
	r := c.processes.runs[fd]
	if r == nil {
		return
	}
	p := r.p
	how := c.processes.recordEnd(r)
	up := time.Since(r.begun)
	p.run, p.exit = nil, how
	switch {
	case p.state == Stopping:
		p.set(Stopped)
		for _, w := range p.wait {
			close(w)
		}
		p.wait = nil
		if p.again && p.want {
			p.again = false
			c.start(p)
		}
		c.forgetDropped(p.g)
	case p.Keep == Again:
		if up >= c.o.Settled {
			p.fast, p.ends = 0, 0
		}
		p.fast++
		p.ends++
		c.events = append(
			c.events,
			Event{Time: time.Now(), Group: p.g.name, Name: p.Name, State: Exited, Exit: how, Uptime: up, Weight: p.ends == 2},
		)
		c.o.Log.Warn("a program ended, and is started again", "program", p.fullName(), "exit", how, "up", up, "times", p.fast)
		if p.fast == 1 {
			c.start(p)
			return
		}
		c.backoff(p)
	default:
		p.set(Exited)
		p.left = append(p.left, r.generation())
		p.left = p.left[max(0, len(p.left)-maxLeft):]
		c.events = append(
			c.events,
			Event{Time: time.Now(), Group: p.g.name, Name: p.Name, State: Exited, Exit: how, Uptime: up, Weight: p.Keep == Watched},
		)
		c.o.Log.Info("a program ended", "program", p.fullName(), "exit", how, "up", up)
	}
}

// maxLeft is how many ended runs of a program are remembered for leftover processes.
const maxLeft = 20

// backoff has a program wait.
func (c *core) backoff(p *program) {
	pause := c.o.First
	for i := 2; i < p.fast && pause < c.o.Last; i++ {
		pause *= 2
	}
	p.set(Backoff)
	p.next = time.Now().Add(min(pause, c.o.Last))
}

// start starts a program.
func (c *core) start(p *program) {
	p.starts++
	err := c.fork(p)
	if err == nil {
		p.err = ""
		p.set(Running)
		return
	}
	p.err = err.Error()
	first := p.state != Backoff && p.state != Fatal
	c.o.Log.Error("a program cannot be started", "program", p.fullName(), "err", err)
	p.fast++
	if p.Keep == Again {
		c.backoff(p)
	} else {
		p.set(Fatal)
	}
	c.events = append(
		c.events,
		Event{Time: time.Now(), Group: p.g.name, Name: p.Name, State: Fatal, Exit: p.err, Weight: first && p.Keep != Once},
	)
}

// stop asks a program to end.
func (c *core) stop(p *program) {
	p.next = time.Time{}
	switch {
	case p.run == nil:
		if p.state != Stopped && p.state != Exited {
			p.set(Stopped)
		}
	case p.state != Stopping:
		p.set(Stopping)
		p.kill = p.since.Add(p.stopWait())
		c.processes.signal(p, unix.SIGTERM)
	}
}

// selectPrograms returns the programs by names as users write them: GROUP:NAME, GROUP:*, GROUP,
// all. An unknown name is an error.
func (c *core) selectPrograms(op string, names []string) (out []*program, err error) {
	for _, name := range names {
		n := len(out)
		found := false
		for _, g := range c.sorted() {
			if g.gone {
				continue
			}
			found = found || name == g.name || name == g.name+":*" || name == g.name+":"
			for _, p := range g.progs {
				if name == "all" || name == g.name || name == g.name+":*" || name == g.name+":" || name == p.fullName() {
					out = append(out, p)
				}
			}
		}
		if len(out) == n && name != "all" && !found {
			return nil, errUnknown(op, name)
		}
	}
	return out, nil
}

func (c *core) sorted() []*group {
	all := make([]*group, 0, len(c.groups))
	for _, g := range c.groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *group) int { return cmp.Compare(a.name, b.name) })
	return all
}

// errClosed is the error of a call after the loop has ended.
func errClosed(op string) error {
	return &compute.Error{Op: "supervise." + op, Kind: compute.ErrUnavailable, Err: errors.New("the supervisor has been closed")}
}

// call runs f in the loop, for an operation.
func (s *Supervisor) call(ctx context.Context, op string, f func() error) (err error) {
	if !s.do(ctx, func() { err = f() }) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errClosed(op)
	}
	return err
}

// ending is a process that was asked to end.
type ending struct {
	run string
	end chan struct{} // closed when it has
}

// await waits until processes have ended, and ends their leftover processes.
func (s *Supervisor) await(ctx context.Context, op string, all []ending) error {
	left := map[string]bool{}
	for _, e := range all {
		select {
		case <-e.end:
			left[e.run] = true
		case <-ctx.Done():
			return &compute.Error{
				Op: "supervise." + op, Kind: compute.ErrTimeout,
				Err: fmt.Errorf("not all programs have ended: %w", ctx.Err()),
			}
		}
	}
	s.core.processes.sweep(left)
	return nil
}

// forgetDropped forgets a group that is to go, when nothing of it runs any more.
func (c *core) forgetDropped(g *group) {
	if !g.gone || slices.ContainsFunc(g.progs, func(p *program) bool { return p.run != nil }) {
		return
	}
	c.clear(g.name) // before it is forgotten: the next supervisor would not know of it
	delete(c.groups, g.name)
	if err := c.forget(g.name); err != nil {
		c.o.Log.Error("the record of a group cannot be removed", "group", g.name, "err", err)
	}
}
