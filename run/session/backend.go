package session

import (
	"context"
	"os"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// Engine is what sessions need of a lease engine, in this process or in a controller. It is safe
// for concurrent use.
type Engine interface {
	compute.Leaser
	// Resolve finds an instance by its own name or its lease's. The lease is nil if there is none.
	Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error)
}

// Backend connects sessions to an engine and to its instances.
type Backend interface {
	// Open opens the engine once. name is the instance that will be used, if known.
	Open(ctx context.Context, name string) (Engine, error)
	// Who returns the user for whom the named instances are used.
	Who(ctx context.Context, names ...string) compute.Who
	// Request makes the request for an instance of a source; "" is the default one. ErrNotFound
	// says that there is no such source.
	Request(ctx context.Context, source string, o *Options) (compute.Request, error)
	// Acquire takes the requested instances. It returns how long the request was queued.
	Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, time.Duration, error)
	// Connect opens a connection to an instance.
	Connect(ctx context.Context, who compute.Who, i compute.Instance) (compute.Conn, Way, error)
	// Released is called after an instance was released, to start the work that is left.
	Released(ctx context.Context)
	// Close closes connections that were opened ahead and not used.
	Close()
}

// Way describes a connection to an instance.
type Way struct {
	Local bool // the instance is this machine, with this process's environment
	Thin  bool // our agent runs at the other end only if it is needed
	Far   bool // compression pays
	// Shown reports whether commands see this machine's own files; nil: they do not.
	Shown func(ctx context.Context) bool
	// Slot waits until a command may start, and free ends the turn; nil: commands start at once.
	Slot func(ctx context.Context, conn compute.Conn) (free func(), err error)
}

// Printer tells the user about progress and problems.
type Printer interface {
	// Say prints progress.
	Say(format string, args ...any)
	// Warn prints a problem that ended nothing.
	Warn(format string, args ...any)
	// Tell prints an error that ends nothing.
	Tell(err error)
}

// Silent is a Printer that prints nothing.
type Silent struct{}

// Say implements Printer.
func (Silent) Say(string, ...any) {}

// Warn implements Printer.
func (Silent) Warn(string, ...any) {}

// Tell implements Printer.
func (Silent) Tell(error) {}

// Plain returns a Backend that has only an engine. Leases belong to the owner and end with this
// process.
func Plain(engine Engine, owner string) Backend { return &plain{engine, owner} }

type plain struct {
	engine Engine
	owner  string
}

func (p *plain) Open(context.Context, string) (Engine, error) { return p.engine, nil }

func (p *plain) Who(context.Context, ...string) compute.Who { return compute.Who{Owner: p.owner} }

// Request asks for one instance. If the options bind the lease to a process, that is this one.
func (p *plain) Request(_ context.Context, source string, o *Options) (compute.Request, error) {
	req := compute.Request{Source: source, Count: 1, Owner: p.owner, Name: o.Lease}
	if !o.Bound() {
		return req, nil
	}
	var err error
	req.For, err = proc.Live(os.Getpid())
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
