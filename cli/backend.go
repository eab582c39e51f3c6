package cli

import (
	"context"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// backend answers what a command asks about the engine that it uses, beside what the engine itself
// answers. embedded is the one for the engine in this process, remote the one for a controller.
type backend interface {
	// engine opens the engine in this process. That of a controller is open.
	engine(ctx context.Context) (Engine, error)
	// self describes this user to commands, as a controller does.
	self() api.Self
	owner() string
	// sources returns all sources. The embedded engine knows only what their configuration says.
	sources(ctx context.Context) []inventory.SourceStatus
	limited(source string) bool
	moving(i compute.Instance) bool
	due(ctx context.Context, names []string)
	// connect connects to an instance. With kept, a slow connection is one that the keeper keeps.
	connect(ctx context.Context, engine Engine, who compute.Who, i compute.Instance, kept bool) (compute.Conn, string, error)
	watch(ctx context.Context, engine Engine, q inventory.EventQuery, f func(compute.Event) error) error
}

func backendOf(a *App) backend {
	if a.Remote != nil {
		return remote{a, a.Remote}
	}
	return embedded{a}
}
