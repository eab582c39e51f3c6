package detached

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

const (
	grace     = 30 * time.Second // after contact was lost, unless the Hold says another
	mostGrace = time.Hour
	known     = time.Hour // how long the end of a run is known
	mostEnded = 32        // ended runs that are known
	mostHeld  = 1024      // runs that go on
	mostName  = 128       // bytes of a run's id
	lastWords = time.Second
)

// Conn is a compute.Conn that keeps commands with a Hold. All connections to an agent share one.
type Conn struct {
	compute.Conn
	total atomic.Int64 // bytes of all rings

	mu   sync.Mutex
	runs map[string]*run
}

var _ provider.DetachedRuns = (*Conn)(nil)

// New keeps commands that run by inner. Closing the Conn closes inner and ends all commands. An
// inner Conn with workspaces learns how to end a run that only waits for a client.
func New(inner compute.Conn) *Conn {
	c := &Conn{Conn: inner, runs: map[string]*run{}}
	if w, ok := inner.(interface{ OnYield(func(string) bool) }); ok {
		w.OnYield(c.Yield)
	}
	return c
}

// Unwrap returns inner, for its other abilities.
func (c *Conn) Unwrap() compute.Conn { return c.Conn }

// Held implements provider.DetachedRuns.
func (c *Conn) Held(context.Context) ([]provider.HeldRun, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(time.Now())
	out := make([]provider.HeldRun, 0, len(c.runs))
	for _, r := range c.runs {
		out = append(out, r.view())
	}
	slices.SortFunc(out, func(a, b provider.HeldRun) int {
		return cmp.Or(a.Started.Compare(b.Started), strings.Compare(a.Run, b.Run))
	})
	return out, nil
}

// Run implements compute.Conn.
func (c *Conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	h := cmd.Hold
	if h == nil {
		return c.Conn.Run(ctx, cmd)
	}
	if err := ctx.Err(); err != nil {
		return compute.Exit{}, err
	}
	if h.Run == "" || len(h.Run) > mostName || h.Grace < 0 || h.Grace > mostGrace {
		return compute.Exit{}, fault(
			compute.ErrInvalid, "a run that is to be held needs an id of up to %d bytes, and a grace of up to %s",
			mostName, mostGrace,
		)
	}
	if h.Attach {
		r := c.find(h.Run)
		if r == nil {
			return compute.Exit{}, fault(compute.ErrNotFound, "%s: no such run is held here", h.Run)
		}
		v, err := r.join(cmd, h.Look)
		if err != nil {
			return compute.Exit{}, err
		}
		return r.serve(ctx, v)
	}
	r, err := c.add(cmd)
	if err != nil {
		return compute.Exit{}, err
	}
	v, _ := r.join(cmd, false) // it has not started, and no other client knows it
	go c.begin(r, cmd)
	return r.serve(ctx, v)
}

func (c *Conn) find(id string) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(time.Now())
	return c.runs[id]
}

// add makes a run known.
func (c *Conn) add(cmd *compute.Command) (*run, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs[cmd.Hold.Run] != nil {
		return nil, fault(compute.ErrConflict, "%s: a run of this id is held here already", cmd.Hold.Run)
	}
	now := time.Now()
	if len(c.runs) >= mostHeld/2 {
		c.forgetLocked(now)
	}
	if len(c.runs) >= mostHeld+mostEnded {
		return nil, fault(compute.ErrNoCapacity, "%d runs are held here", mostHeld)
	}
	r := newRun(c, cmd, now)
	c.runs[r.id] = r
	return r, nil
}

// Yield ends a run that has no viewer and is only in its grace period. A run with Keep goes on.
// Yield reports whether it ended the run.
func (c *Conn) Yield(id string) bool {
	r := c.find(id)
	if r == nil {
		return false
	}
	r.mu.Lock()
	alone := r.viewers == 0 && !r.hold.Keep && r.result.at.IsZero()
	r.mu.Unlock()
	if alone {
		r.kill()
	}
	return alone
}

// Keeps reports whether a client may come back for a run: one that goes on, or one whose end no
// client has received.
func (c *Conn) Keeps() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(time.Now())
	for _, r := range c.runs {
		r.mu.Lock()
		keeps := r.result.at.IsZero() || !r.result.delivered
		r.mu.Unlock()
		if keeps {
			return true
		}
	}
	return false
}

// begin runs the command to its end, with or without viewers.
func (c *Conn) begin(r *run, cmd *compute.Command) {
	inner := *cmd
	inner.Signals, inner.Resize = r.signals, r.resize
	// inner needs only the name of the run, and Begun
	inner.Hold = &compute.Hold{Run: r.id, Begun: cmd.Hold.Begun}
	inner.Stdin, inner.Stdout, inner.Stderr = nil, nil, nil
	if cmd.Stdin != nil {
		inner.Stdin = r.stdin
	}
	if cmd.Stdout != nil {
		inner.Stdout = r.out[0]
	}
	switch {
	case cmd.Stderr == nil:
	case same(cmd.Stdout, cmd.Stderr):
		inner.Stderr = inner.Stdout
	default:
		inner.Stderr = r.out[1]
	}
	exit, err := c.Conn.Run(r.ctx, &inner)
	r.ended(exit, err)
}

// forget drops a run that has ended and that no client will ask for.
func (c *Conn) forget(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(r)
}

func (c *Conn) dropLocked(r *run) {
	if c.runs[r.id] == r {
		delete(c.runs, r.id)
		r.free()
	}
}

// forgetLocked drops runs that ended more than known ago, and the oldest beyond mostEnded.
func (c *Conn) forgetLocked(now time.Time) {
	var over []*run
	for _, r := range c.runs {
		if at := r.end(); !at.IsZero() {
			if now.Sub(at) > known {
				c.dropLocked(r)
			} else {
				over = append(over, r)
			}
		}
	}
	if len(over) > mostEnded {
		slices.SortFunc(over, func(a, b *run) int { return a.end().Compare(b.end()) })
		for _, r := range over[:len(over)-mostEnded] {
			c.dropLocked(r)
		}
	}
}

var errLeft = errors.New("the viewer has left")

func fault(kind *compute.Kind, format string, args ...any) error {
	return &compute.Error{Op: "held", Kind: kind, Err: fmt.Errorf(format, args...)}
}

// same reports whether two writers are the same.
func same(a, b any) bool {
	defer func() { _ = recover() }() // values that cannot be compared are not the same
	return a != nil && a == b
}

// contactLost reports whether a context ended because contact was lost, not because the client
// wants the command to end.
func contactLost(ctx context.Context) bool { return errors.Is(context.Cause(ctx), compute.ErrLost) }
