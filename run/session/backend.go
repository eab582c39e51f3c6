package session

import (
	"context"
	"os"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// Engine is what sessions ask of a lease engine: one in this process, or a controller.
type Engine interface {
	compute.Leaser
	// Resolve finds an instance by its own name or its lease's. The lease is nil where it has none.
	Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error)
}

// Backend finds the engine and the ways into its instances.
type Backend interface {
	// Open finds the engine, once. name is what will be used, as far as it is known.
	Open(ctx context.Context, name string) (Engine, error)
	// Who says on whose behalf the named instances are used.
	Who(ctx context.Context, names ...string) compute.Who
	// Request makes the request for an instance of a source; "": of the default one. ErrNotFound:
	// there is no such source.
	Request(ctx context.Context, source string, o *Options) (compute.Request, error)
	// Acquire takes what is asked for, and tells how long the request was in the queue.
	Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, time.Duration, error)
	// Connect opens a way into an instance.
	Connect(ctx context.Context, who compute.Who, i compute.Instance) (compute.Conn, Way, error)
	// Released is called after an instance was given back, to have done what that left.
	Released(ctx context.Context)
	// Close ends what was opened ahead and not used.
	Close()
}

// Way is what is known of a way into an instance.
type Way struct {
	Local bool // the instance is this machine itself, with this process's environment
	Thin  bool // nothing of ours runs at its other end unless it is needed
	Far   bool // what is sent is worth compressing
	// Shown reports whether commands there see this machine's own files; nil: they do not.
	Shown func(ctx context.Context) bool
	// Slot waits for a command's turn, and free ends that; nil: commands run at once.
	Slot func(ctx context.Context, conn compute.Conn) (free func(), err error)
}

// Printer tells the user about the work.
type Printer interface {
	// Say is for progress.
	Say(format string, args ...any)
	// Warn is for what went wrong and ended nothing.
	Warn(format string, args ...any)
	// Tell is for an error that ends nothing.
	Tell(err error)
}

// Silent is a Printer that tells nothing.
type Silent struct{}

// Say implements Printer.
func (Silent) Say(string, ...any) {}

// Warn implements Printer.
func (Silent) Warn(string, ...any) {}

// Tell implements Printer.
func (Silent) Tell(error) {}

// Plain returns a backend that has an engine and nothing else. Leases are the owner's, and end with
// this process.
func Plain(engine Engine, owner string) Backend { return &plain{engine, owner} }

type plain struct {
	engine Engine
	owner  string
}

func (p *plain) Open(context.Context, string) (Engine, error) { return p.engine, nil }

func (p *plain) Who(context.Context, ...string) compute.Who { return compute.Who{Owner: p.owner} }

func (p *plain) Request(_ context.Context, source string, o *Options) (compute.Request, error) {
	req := compute.Request{Source: source, Count: 1, Owner: p.owner, Name: o.Lease}
	if !o.Bound() {
		return req, nil
	}
	var err error
	req.For, err = pool.ProcessOf(os.Getpid())
	return req, err
}

func (p *plain) Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, time.Duration, error) {
	leases, err := p.engine.Acquire(ctx, req)
	return leases, 0, err
}

func (p *plain) Connect(ctx context.Context, who compute.Who, i compute.Instance) (compute.Conn, Way, error) {
	conn, err := p.engine.Connect(ctx, who, i.ID)
	return conn, Way{}, err
}

func (p *plain) Released(context.Context) {}

func (p *plain) Close() {}
