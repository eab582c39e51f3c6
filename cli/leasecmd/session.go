package leasecmd

import (
	"context"
	"os"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/session"
)

// Backend implements session.Backend for the command line.
type Backend struct {
	App *cli.App
	// Flags say what to acquire; nil: nothing.
	Flags *AcquireFlags
	// Direct is a source that is this machine itself and is used without a lease, as in crcache;
	// "": none.
	Direct string
	// a connection that was requested before it was known to be needed; nil: none
	early    <-chan compute.Conn
	earlyFor string // the name of its instance

	// Several says that several runs acquire at once.
	Several bool

	kept bool // acquired instances stay
}

// Open implements session.Backend.
func (b *Backend) Open(ctx context.Context, name string) (session.Engine, error) {
	b.App.Host.LeaseIdle = cli.IdleKept
	b.early, b.earlyFor = b.App.DialEarly(ctx, b.App.Who(ctx, nil, name), name), name
	return b.engine(ctx)
}

func (b *Backend) engine(ctx context.Context) (cli.Engine, error) { return b.App.Engine(ctx) }

// Who implements session.Backend.
func (b *Backend) Who(ctx context.Context, names ...string) compute.Who {
	engine, _ := b.engine(ctx) // it was found before
	return b.App.Who(ctx, engine, names...)
}

// Request implements session.Backend.
func (b *Backend) Request(ctx context.Context, source string, o *session.Options) (req compute.Request, err error) {
	a := b.App
	engine, err := b.engine(ctx)
	if err != nil {
		return req, err
	}
	if source == "" {
		if source, err = a.SourceName(); err != nil {
			return req, err
		}
	} else if !a.IsSource(source) {
		return req, a.UnknownName(ctx, source)
	}
	w := *b.Flags
	if w.Start = o.Dir; o.NoTree {
		w.Start = noTree
	}
	if req, err = w.Request(a, source); err != nil {
		return req, err
	}
	if err = CheckName(a, ctx, engine, w.Name); err != nil {
		return req, err
	}
	if !o.Bound() {
		if s, _ := a.Source(source); req.TTL == 0 && s.TTL == 0 {
			req.TTL = cli.TtlKept
		}
	} else if err = bindTo(a, &req, os.Getpid()); err != nil {
		return req, err
	}
	defaultIdle(a, &req, cli.IdleKept)
	b.kept = o.Kept()
	return req, nil
}

// Acquire implements session.Backend.
func (b *Backend) Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, time.Duration, error) {
	engine, err := b.engine(ctx)
	if err != nil {
		return nil, 0, err
	}
	leases, queued, err := takeTimed(b.App, ctx, engine, req, engine.Acquire)
	if err == nil && b.kept && !b.Several && !b.App.Quiet {
		l := leases[0]
		_ = term.Printf(b.App.Err, "%s is yours until `hostler release %s`%s\n", l.Instance, l.Handle(), untilWords(l))
	}
	return leases, queued, err
}

// Released implements session.Backend.
func (b *Backend) Released(ctx context.Context) { b.App.Ring(ctx) }

// Close implements session.Backend.
func (b *Backend) Close() {
	if b.early != nil {
		closeIf(<-b.early)
		b.early = nil
	}
}

func closeIf(conn compute.Conn) {
	if conn != nil {
		_ = conn.Close()
	}
}
