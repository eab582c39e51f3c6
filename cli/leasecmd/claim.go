package leasecmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/visible"
)

const (
	useEvery  = time.Minute     // who uses a lease says so that often
	warnAhead = 5 * time.Minute // of the lease's end
)

var ErrLeaseEnded = errors.New("the lease has ended")

// ClaimOptions say how an instance is claimed.
type ClaimOptions struct {
	Want
	Keep       bool // what is acquired is not given back
	KeepFailed bool // nor if what it is for fails
	Outlives   bool // what it is for goes on when we have gone
	Any        bool // whoever has the lease
	Describe   bool // all that is known of the instance is wanted
	Raw        bool // what is said goes to a terminal that is raw
}

// Claim is an instance as one command of ours has it: found by a name or acquired for it, used
// while it lasts, and given back where it was acquired.
type Claim struct {
	App *cli.App
	Ask ClaimOptions

	Engine    cli.Engine
	Who       compute.Who
	Instance  compute.Instance
	Lease     compute.Lease
	Temporary bool // acquired for this command alone
	// the source of type local that is used without a lease, as crcache did; "": none
	Direct    string
	Given     *compute.Lease   // what was acquired for it already; nil: it acquires
	Ordered   *compute.Request // by which it was acquired; nil: it had been there
	OrderedAt time.Time        // when it was made first
	// told of another that was acquired in the place of one that had ended; may be nil
	Moved   func(compute.Lease)
	Retaken time.Duration // that this took
	Queued  time.Duration // that it waited for its turn

	Early    <-chan compute.Conn // what dialEarly found; nil: nobody asked
	EarlyFor string              // the name that it was asked for

	mu      sync.Mutex
	renewed compute.Lease // the lease as watch has it; no ID: as it was
}

// Obtain finds the instance by its name or its lease's, or acquires one of a source.
func (c *Claim) Obtain(ctx context.Context, name string) error {
	a, w := c.App, &c.Ask.Want
	kept := c.Ask.Keep || w.Name != ""
	if c.Given != nil {
		c.Lease, c.Temporary, c.Instance = *c.Given, !kept, compute.Instance{ID: c.Given.Instance, Source: c.Given.Source}
		return nil
	}
	bound := !kept && !c.Ask.KeepFailed && !c.Ask.Outlives // else it may outlive us
	a.Host.LeaseIdle = cli.IdleKept
	c.Early, c.EarlyFor = a.DialEarly(ctx, a.Who(ctx, nil, name), name), name
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	c.Engine = engine
	c.Who = a.Who(ctx, engine, cmp.Or(name, w.Name))
	c.Who.Admin = c.Ask.Any
	if name == "" && w.Name != "" { // --name: that lease, if there is one
		if i, l, err := engine.Resolve(ctx, w.Name); err == nil && l != nil && l.Name == w.Name {
			return c.Take(ctx, i)
		}
	}
	source := name
	if name == "" {
		if source, err = a.SourceName(); err != nil {
			return err
		}
	} else if lease, err := engine.Use(ctx, c.Who, compute.ID(name)); err == nil {
		// one read, where Resolve and Use would be two
		c.Lease, c.Instance = lease, compute.Instance{ID: lease.Instance, Source: lease.Source}
		if c.Ask.Describe {
			c.Instance, _, err = engine.Resolve(ctx, string(lease.Instance))
		}
		return err
	} else if !errors.Is(err, compute.ErrNotFound) {
		return err
	} else if !a.IsSource(name) {
		return a.UnknownName(ctx, name)
	}
	req, err := Request(a, w, source)
	if err == nil {
		err = CheckName(a, ctx, engine, w.Name)
	}
	if err != nil {
		return err
	}
	if !bound {
		if req.TTL == 0 && a.SourceTTL(source) == 0 {
			req.TTL = cli.TtlKept
		}
	} else if err := Bind(a, &req, os.Getpid()); err != nil {
		return err
	}
	DefaultIdle(a, &req, cli.IdleKept)
	c.Ordered, c.OrderedAt = &req, time.Now()
	return c.acquire(ctx, req)
}

// acquire takes an instance for the command.
func (c *Claim) acquire(ctx context.Context, req compute.Request) error {
	kept := c.Ask.Keep || c.Ask.Want.Name != ""
	leases, queued, err := takeTimed(c.App, ctx, c.Engine, req, c.Engine.Acquire)
	c.Queued += queued
	if err != nil {
		return err
	}
	c.Lease, c.Temporary = leases[0], !kept
	c.Instance = compute.Instance{ID: c.Lease.Instance, Source: c.Lease.Source}
	if c.Ask.Describe { // which tells more of it
		c.Instance, _, err = c.Engine.Resolve(ctx, string(c.Lease.Instance))
	}
	if err == nil && kept && !c.App.Quiet {
		_ = term.Printf(c.App.Err, "%s is yours until `hostler release %s`%s\n", c.Instance.ID, cli.Handle(c.Lease), untilWords(c.Lease))
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

// CloseEarly gives back a connection that nobody came to use.
func (c *Claim) CloseEarly() {
	if c.Early != nil {
		closeIf(<-c.Early)
	}
}

func closeIf(conn compute.Conn) {
	if conn != nil {
		_ = conn.Close()
	}
}

// Take uses an instance that stands under a lease already.
func (c *Claim) Take(ctx context.Context, i compute.Instance) (err error) {
	c.Instance = i
	c.Lease, err = c.Engine.Use(ctx, c.Who, i.ID)
	return err
}

// GiveBack releases what was acquired for this run. A problem there is a warning: the next command
// finishes it.
func (c *Claim) GiveBack(ctx context.Context) {
	if c.Temporary {
		c.release(ctx, compute.ReleaseOptions{})
	}
}

func (c *Claim) release(ctx context.Context, opt compute.ReleaseOptions) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	who := compute.Who{Owner: c.Who.Owner, Lease: c.Lease.ID}
	err := c.Engine.Release(ctx, who, opt, c.Instance.ID)
	if err != nil && !errors.Is(err, compute.ErrNotLeased) && !errors.Is(err, compute.ErrStale) {
		_ = term.Printf(c.App.Err, "%s: %s is not given back yet: %s\n", c.App.Program, c.Instance.ID, term.ErrorText(err))
	}
	c.App.Ring(ctx)
}

// Slot waits for the command's turn where the source limits how many run at once. The lease may
// have ended meanwhile, so it is asked again.
func (c *Claim) Slot(ctx context.Context, conn compute.Conn) (free func(), err error) {
	if c.Direct != "" || !c.App.Limited(c.Instance.Source) {
		return func() {}, nil
	}
	local, err := c.App.Host.Engine(ctx) // a controller's are not limited here
	if err != nil {
		return nil, err
	}
	free, err = local.Slot(ctx, c.Instance.ID, func(ctx context.Context) (int, error) { return compute.Detached(ctx, conn) })
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err == nil {
		if _, err = c.Engine.Use(ctx, c.Who, c.Instance.ID); err != nil {
			free()
		}
	}
	if errors.Is(err, ErrLeaseEnded) || errors.Is(err, compute.ErrStale) {
		err = &compute.Error{
			ID: c.Instance.ID, Kind: compute.ErrNotLeased,
			Err: errors.New("the lease ended while the command waited for its turn"),
		}
	}
	return free, err
}

// Connect opens the way in, and says which type of source it leads to.
func (c *Claim) Connect(ctx context.Context) (compute.Conn, string, error) {
	if c.Early != nil {
		conn := <-c.Early
		c.Early = nil
		typ, err := c.App.Host.TypeOf(ctx, c.Engine, c.Instance)
		if conn != nil && err == nil && c.App.Host.Kinds.Kind(typ).Dear && c.EarlyFor == string(c.Instance.ID) {
			return conn, typ, nil
		}
		closeIf(conn)
	}
	if c.Direct == "" {
		return c.App.Connect(ctx, c.Engine, c.Who, c.Instance)
	}
	local, err := c.App.Host.Engine(ctx)
	if err != nil {
		return nil, "", err
	}
	p, err := local.Provider(ctx, c.Direct)
	if err != nil {
		return nil, "", err
	}
	conn, err := p.Connect(ctx, c.Instance.ID)
	return conn, "local", err
}

// Reach connects to an instance that is leased, by its name or its lease's, for a command that uses
// it and gives nothing back.
func Reach(a *cli.App, ctx context.Context, name string, anyones bool) (*Claim, compute.Conn, error) {
	engine, err := a.Engine(ctx)
	if err != nil {
		return nil, nil, err
	}
	c := &Claim{App: a, Engine: engine, Who: a.Who(ctx, engine, name)}
	c.Who.Admin = anyones
	if c.Instance, _, err = engine.Resolve(ctx, name); err != nil {
		return nil, nil, err
	}
	if c.Lease, err = engine.Use(ctx, c.Who, c.Instance.ID); err != nil {
		return nil, nil, err
	}
	c.Who.Lease = c.Lease.ID // this lease or none
	conn, _, err := c.Connect(ctx)
	return c, conn, err
}

// Watch renews the lease while the command runs, warns before the end of one that is not ours to
// renew, and ends the run when the lease has ended.
func (c *Claim) Watch(ctx context.Context, cancel context.CancelCauseFunc) {
	lease := c.Lease
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
			case c.Temporary:
				every = min(every, lease.TTL/3)
			case left > warnAhead:
				every = min(every, left-warnAhead)
			default:
				if !warned {
					warned = true
					cr := visible.Shown("")
					if c.Ask.Raw || term.IsTerminal(c.App.In) {
						cr = "\r" // the terminal is raw
					}
					_ = term.Printf(c.App.Err, "%shostler: the lease of %s ends in %s, and this command with it: hostler extend %s%s\n",
						cr, c.Instance.ID, term.ShortDuration(left.Round(time.Second)), cli.Handle(lease), cr)
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
			cancel(fmt.Errorf("%w: %w", ErrLeaseEnded, err))
			return
		}
	}
}

// isOver tells whether a use of a lease was refused because there is none any more.
func isOver(err error) bool {
	return errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied)
}

// Over asks whether contact was lost because the lease has ended, as who ends it takes the computer
// away at once; nil: not that is known.
func (c *Claim) Over(ctx context.Context) error {
	if c.Lease.ID == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := c.Engine.Use(ctx, c.Who, c.Instance.ID); isOver(err) {
		return fmt.Errorf("%w: %w", ErrLeaseEnded, err)
	}
	return nil
}

// Current is the lease as it was renewed last.
func (c *Claim) Current() compute.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renewed.ID != "" {
		return c.renewed
	}
	return c.Lease
}

func (c *Claim) renew(ctx context.Context, lease compute.Lease) (compute.Lease, error) {
	if c.Temporary && lease.TTL > 0 {
		leases, err := c.Engine.Extend(ctx, c.Who, 0, c.Instance.ID)
		if err != nil || len(leases) == 0 {
			return lease, err
		}
		return leases[0], nil
	}
	return c.Engine.Use(ctx, c.Who, c.Instance.ID)
}
