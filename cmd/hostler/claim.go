package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/text/visible"
)

const (
	useEvery  = time.Minute     // who uses a lease says so that often
	warnAhead = 5 * time.Minute // of the lease's end
)

var errLeaseEnded = errors.New("the lease has ended")

// claimOptions say how an instance is claimed.
type claimOptions struct {
	want
	keep       bool // what is acquired is not given back
	keepFailed bool // nor if what it is for fails
	outlives   bool // what it is for goes on when we have gone
	any        bool // whoever has the lease
	describe   bool // all that is known of the instance is wanted
	raw        bool // what is said goes to a terminal that is raw
}

// claim is an instance as one command of ours has it: found by a name or acquired for it, used
// while it lasts, and given back where it was acquired.
type claim struct {
	app *app
	ask claimOptions

	engine    engine
	who       compute.Who
	instance  compute.Instance
	lease     compute.Lease
	temporary bool // acquired for this command alone
	// the source of type local that is used without a lease, as crcache did; "": none
	direct    string
	given     *compute.Lease   // what was acquired for it already; nil: it acquires
	ordered   *compute.Request // by which it was acquired; nil: it had been there
	orderedAt time.Time        // when it was made first
	// told of another that was acquired in the place of one that had ended; may be nil
	moved   func(compute.Lease)
	retaken time.Duration // that this took
	queued  time.Duration // that it waited for its turn

	early    <-chan compute.Conn // what dialEarly found; nil: nobody asked
	earlyFor string              // the name that it was asked for

	mu      sync.Mutex
	renewed compute.Lease // the lease as watch has it; no ID: as it was
}

// obtain finds the instance by its name or its lease's, or acquires one of a source.
func (c *claim) obtain(ctx context.Context, name string) error {
	a, w := c.app, &c.ask.want
	kept := c.ask.keep || w.name != ""
	if c.given != nil {
		c.lease, c.temporary, c.instance = *c.given, !kept, compute.Instance{ID: c.given.Instance, Source: c.given.Source}
		return nil
	}
	bound := !kept && !c.ask.keepFailed && !c.ask.outlives // else it may outlive us
	a.Host.LeaseIdle = idleKept
	c.early, c.earlyFor = a.dialEarly(ctx, a.who(ctx, nil, name), name), name
	engine, err := a.engine(ctx)
	if err != nil {
		return err
	}
	c.engine = engine
	c.who = a.who(ctx, engine, cmp.Or(name, w.name))
	c.who.Admin = c.ask.any
	if name == "" && w.name != "" { // --name: that lease, if there is one
		if i, l, err := engine.Resolve(ctx, w.name); err == nil && l != nil && l.Name == w.name {
			return c.take(ctx, i)
		}
	}
	source := name
	if name == "" {
		if source, err = a.sourceName(); err != nil {
			return err
		}
	} else if lease, err := engine.Use(ctx, c.who, compute.ID(name)); err == nil {
		// one read, where Resolve and Use would be two
		c.lease, c.instance = lease, compute.Instance{ID: lease.Instance, Source: lease.Source}
		if c.ask.describe {
			c.instance, _, err = engine.Resolve(ctx, string(lease.Instance))
		}
		return err
	} else if !errors.Is(err, compute.ErrNotFound) {
		return err
	} else if !a.isSource(name) {
		return a.unknownName(ctx, name)
	}
	req, err := a.request(w, source)
	if err == nil {
		err = a.checkName(ctx, engine, w.name)
	}
	if err != nil {
		return err
	}
	if !bound {
		if req.TTL == 0 && a.sourceTTL(source) == 0 {
			req.TTL = ttlKept
		}
	} else if err := a.bind(&req, os.Getpid()); err != nil {
		return err
	}
	a.defaultIdle(&req, idleKept)
	c.ordered, c.orderedAt = &req, time.Now()
	return c.acquire(ctx, req)
}

// acquire takes an instance for the command.
func (c *claim) acquire(ctx context.Context, req compute.Request) error {
	kept := c.ask.keep || c.ask.want.name != ""
	leases, queued, err := c.app.takeTimed(ctx, c.engine, req, c.engine.Acquire)
	c.queued += queued
	if err != nil {
		return err
	}
	c.lease, c.temporary = leases[0], !kept
	c.instance = compute.Instance{ID: c.lease.Instance, Source: c.lease.Source}
	if c.ask.describe { // which tells more of it
		c.instance, _, err = c.engine.Resolve(ctx, string(c.lease.Instance))
	}
	if err == nil && kept && !c.app.Quiet {
		_ = term.Printf(c.app.Err, "%s is yours until `hostler release %s`%s\n", c.instance.ID, handle(c.lease), untilWords(c.lease))
	}
	return err
}

// untilWords say when a lease ends by itself, behind how its user ends it.
func untilWords(l compute.Lease) (words string) {
	if l.Idle > 0 {
		words = ", or until it is unused for " + term.TypedDuration(l.Idle)
	}
	if l.TTL > 0 {
		words += ", for " + term.TypedDuration(l.TTL) + " at most"
	}
	return words
}

// closeEarly gives back a connection that nobody came to use.
func (c *claim) closeEarly() {
	if c.early != nil {
		closeIf(<-c.early)
	}
}

func closeIf(conn compute.Conn) {
	if conn != nil {
		_ = conn.Close()
	}
}

// take uses an instance that stands under a lease already.
func (c *claim) take(ctx context.Context, i compute.Instance) (err error) {
	c.instance = i
	c.lease, err = c.engine.Use(ctx, c.who, i.ID)
	return err
}

// giveBack releases what was acquired for this run. A problem there is a warning: the next command
// finishes it.
func (c *claim) giveBack(ctx context.Context) {
	if c.temporary {
		c.release(ctx, compute.ReleaseOptions{})
	}
}

func (c *claim) release(ctx context.Context, opt compute.ReleaseOptions) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	who := compute.Who{Owner: c.who.Owner, Lease: c.lease.ID}
	err := c.engine.Release(ctx, who, opt, c.instance.ID)
	if err != nil && !errors.Is(err, compute.ErrNotLeased) && !errors.Is(err, compute.ErrStale) {
		_ = term.Printf(c.app.Err, "%s: %s is not given back yet: %s\n", c.app.Program, c.instance.ID, term.ErrorText(err))
	}
	c.app.ring(ctx)
}

// slot waits for the command's turn where the source limits how many run at once. The lease may
// have ended meanwhile, so it is asked again.
func (c *claim) slot(ctx context.Context, conn compute.Conn) (free func(), err error) {
	if c.direct != "" || !c.app.limited(c.instance.Source) {
		return func() {}, nil
	}
	local, err := c.app.Host.Engine(ctx) // a controller's are not limited here
	if err != nil {
		return nil, err
	}
	free, err = local.Slot(ctx, c.instance.ID, func(ctx context.Context) (int, error) { return compute.Detached(ctx, conn) })
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err == nil {
		if _, err = c.engine.Use(ctx, c.who, c.instance.ID); err != nil {
			free()
		}
	}
	if errors.Is(err, errLeaseEnded) || errors.Is(err, compute.ErrStale) {
		err = &compute.Error{
			ID: c.instance.ID, Kind: compute.ErrNotLeased,
			Err: errors.New("the lease ended while the command waited for its turn"),
		}
	}
	return free, err
}

// connect opens the way in, and says which type of source it leads to.
func (c *claim) connect(ctx context.Context) (compute.Conn, string, error) {
	if c.early != nil {
		conn := <-c.early
		c.early = nil
		typ, err := c.app.Host.TypeOf(ctx, c.engine, c.instance)
		if conn != nil && err == nil && host.SlowToConnect(typ) && c.earlyFor == string(c.instance.ID) {
			return conn, typ, nil
		}
		closeIf(conn)
	}
	if c.direct == "" {
		return c.app.connect(ctx, c.engine, c.who, c.instance)
	}
	local, err := c.app.Host.Engine(ctx)
	if err != nil {
		return nil, "", err
	}
	p, err := local.Provider(ctx, c.direct)
	if err != nil {
		return nil, "", err
	}
	conn, err := p.Connect(ctx, c.instance.ID)
	return conn, "local", err
}

// reach connects to an instance that is leased, by its name or its lease's, for a command that uses
// it and gives nothing back.
func (a *app) reach(ctx context.Context, name string, anyones bool) (*claim, compute.Conn, error) {
	engine, err := a.engine(ctx)
	if err != nil {
		return nil, nil, err
	}
	c := &claim{app: a, engine: engine, who: a.who(ctx, engine, name)}
	c.who.Admin = anyones
	if c.instance, _, err = engine.Resolve(ctx, name); err != nil {
		return nil, nil, err
	}
	if c.lease, err = engine.Use(ctx, c.who, c.instance.ID); err != nil {
		return nil, nil, err
	}
	c.who.Lease = c.lease.ID // this lease or none
	conn, _, err := c.connect(ctx)
	return c, conn, err
}

// watch renews the lease while the command runs, warns before the end of one that is not ours to
// renew, and ends the run when the lease has ended.
func (c *claim) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	lease := c.lease
	if lease.ID == "" {
		return // crcache's local
	}
	warned := false
	for {
		every := useEvery
		if lease.Idle > 0 {
			every = min(every, lease.Idle/3)
		}
		if left := time.Until(lease.Expires); !lease.Expires.IsZero() {
			switch {
			case c.temporary:
				every = min(every, lease.TTL/3)
			case left > warnAhead:
				every = min(every, left-warnAhead)
			default:
				if !warned {
					warned = true
					cr := visible.Shown("")
					if c.ask.raw || term.IsTerminal(c.app.In) {
						cr = "\r" // the terminal is raw
					}
					_ = term.Printf(c.app.Err, "%shostler: the lease of %s ends in %s, and this command with it: hostler extend %s%s\n",
						cr, c.instance.ID, term.ShortDuration(left.Round(time.Second)), handle(lease), cr)
				}
				every = min(every, max(left, 0))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(every, 10*time.Millisecond)):
		}
		next, err := c.renew(ctx, lease)
		switch {
		case err == nil:
			if next.Expires.After(lease.Expires) {
				warned = false
			}
			lease = next
			c.mu.Lock()
			c.renewed = next
			c.mu.Unlock()
		case isOver(err):
			cancel(fmt.Errorf("%w: %w", errLeaseEnded, err))
			return
		}
	}
}

// isOver tells whether a use of a lease was refused because there is none any more.
func isOver(err error) bool {
	return errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied)
}

// over asks whether contact was lost because the lease has ended, as who ends it takes the computer
// away at once; nil: not that is known.
func (c *claim) over(ctx context.Context) error {
	if c.lease.ID == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := c.engine.Use(ctx, c.who, c.instance.ID); isOver(err) {
		return fmt.Errorf("%w: %w", errLeaseEnded, err)
	}
	return nil
}

// current is the lease as it was renewed last.
func (c *claim) current() compute.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renewed.ID != "" {
		return c.renewed
	}
	return c.lease
}

func (c *claim) renew(ctx context.Context, lease compute.Lease) (compute.Lease, error) {
	if c.temporary && lease.TTL > 0 {
		leases, err := c.engine.Extend(ctx, c.who, 0, c.instance.ID)
		if err != nil || len(leases) == 0 {
			return lease, err
		}
		return leases[0], nil
	}
	return c.engine.Use(ctx, c.who, c.instance.ID)
}
