package cli

import (
	"context"
	"slices"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/pool"
)

// Engine is the lease engine in this process, or a controller.
type Engine interface {
	compute.Leaser
	inventory.Book
	inventory.Operator
	inventory.Waiters
}

var (
	_ Engine = (*pool.Pool)(nil)
	_ Engine = (*client.Client)(nil)
)

// Engine returns the controller if there is one, else the engine in this process. It finds out
// once.
func (a *App) Engine(ctx context.Context) (Engine, error) {
	if err := a.FindController(ctx); err != nil {
		return nil, err
	}
	engine, err := backendOf(a).engine(ctx)
	warnOfRoot(a)
	return engine, err
}

// Self describes this user as the engine knows it. The embedded engine is here and the user's own.
func (a *App) Self() api.Self { return backendOf(a).self() }

// Owner returns the user for whom this process takes leases.
func (a *App) Owner() string { return backendOf(a).owner() }

// Here reports whether the engine's local instance is this process's machine and user.
func (a *App) Here() bool { return a.Self().Here && a.Self().Own }

// Elsewhere reports whether the engine has another configuration or state than this command. Then
// the sources and images of this command's are not those that it uses.
func (a *App) Elsewhere() bool { return a.Remote != nil && !a.Same }

// Sources returns all sources that the engine knows, those that are no longer configured too. Of
// the embedded engine it has only what the configuration says.
func (a *App) Sources(ctx context.Context) []inventory.SourceStatus { return backendOf(a).sources(ctx) }

// Source returns the source of a name, as Sources does, if it is configured.
func (a *App) Source(name string) (inventory.SourceStatus, bool) {
	all := a.Sources(context.Background())
	i := slices.IndexFunc(all, func(s inventory.SourceStatus) bool { return s.Name == name && !s.Orphaned })
	if i < 0 {
		return inventory.SourceStatus{}, false
	}
	return all[i], true
}

// IsSource reports whether a source of this name is configured.
func (a *App) IsSource(name string) bool {
	_, ok := a.Source(name)
	return ok
}

// Limited reports whether this process limits how many runs an instance of a source has at once.
func (a *App) Limited(source string) bool { return backendOf(a).limited(source) }

// Moving reports whether an instance is being cleaned or discarded now.
func (a *App) Moving(i compute.Instance) bool {
	return (i.State == compute.Cleaning || i.State == compute.Discarding) && backendOf(a).moving(i)
}

// Due does what is due for sources before they are shown or used: it ends expired leases, and
// finishes half-made and unclean instances. Failures are recorded, and shown by status and events,
// but the command goes on.
func (a *App) Due(ctx context.Context, names ...string) {
	if _, err := a.Engine(ctx); err == nil {
		backendOf(a).due(ctx, names)
	}
}

// sayConnecting is how long a connection may take before a person is told what is awaited.
const sayConnecting = time.Second

// Connect connects to an instance, and returns the type of its real source. Connections that are
// slow to open come from the keeper, which keeps them open for later commands. Others are opened
// here.
func (a *App) Connect(ctx context.Context, engine Engine, who compute.Who, i compute.Instance) (compute.Conn, string, error) {
	if term.IsTerminal(a.Err) && !a.Compat {
		say := time.AfterFunc(sayConnecting, func() { a.Say("connecting to %s", i.ID) })
		defer say.Stop()
	}
	return backendOf(a).connect(ctx, engine, who, i, true)
}

// ConnectOnce connects to an instance without the keeper, for a connection that no later command
// needs. Several goroutines may call it at once.
func (a *App) ConnectOnce(ctx context.Context, engine Engine, who compute.Who, i compute.Instance) (compute.Conn, error) {
	conn, _, err := backendOf(a).connect(ctx, engine, who, i, false)
	return conn, err
}

// Watch calls f with each event after q.After, as it happens. It returns when ctx ends, or with the
// first error of f.
func Watch(a *App, ctx context.Context, engine Engine, q inventory.EventQuery, f func(compute.Event) error) error {
	return backendOf(a).watch(ctx, engine, q, f)
}
