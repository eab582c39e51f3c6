package cli

import (
	"context"
	"strings"
	"time"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/engine"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/pool"
)

// Engine is the lease engine in this process, or a controller.
type Engine interface {
	compute.Leaser
	engine.Book
	engine.Operator
	engine.Waiters
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
	if a.Remote != nil {
		return a.Remote, nil
	}
	return a.Host.Engine(ctx)
}

// FindController finds the controller, if there is one. Otherwise a.Remote stays nil, and the
// command works by itself.
func (a *App) FindController(ctx context.Context) error {
	if a.Remote != nil || a.Host.Opened() != nil || a.Compat || a.Host.Role == host.Keeper {
		return nil
	}
	if a.Host.Whole != nil {
		// whether this process goes on at all is known before it has done anything
		_, _ = a.Host.Configuration() // a command that needs it gets the error again
	}
	c, self, err := a.Controller(ctx)
	if c != nil {
		a.Host.OnClose(func() { _ = c.Close() })
	}
	fits := false
	if err == nil && c != nil {
		fits, err = a.Fits(self)
	}
	if err == nil && fits {
		a.Remote, a.Self = c, self
	}
	return err
}

// Moving reports whether an instance is being cleaned or discarded now.
func (a *App) Moving(i compute.Instance) bool {
	if i.State != compute.Cleaning && i.State != compute.Discarding {
		return false
	}
	if a.Remote != nil {
		return i.Attempts == 0 // otherwise an attempt failed and the next one is later
	}
	return i.Worker != 0 && a.Host.Store().Alive(i.Worker)
}

// dueTime is how long a command that only shows something works on what is due. The keeper does the
// rest.
const dueTime = 2 * time.Second

// Due does what is due for sources before they are shown or used: it ends expired leases, and
// finishes half-made and unclean instances. Failures are recorded, and shown by status and events,
// but the command goes on.
func (a *App) Due(ctx context.Context, names ...string) {
	if _, err := a.Engine(ctx); err != nil {
		return
	}
	if a.Remote != nil {
		if a.Self.Own {
			short, cancel := context.WithTimeout(ctx, dueTime)
			defer cancel()
			_ = a.Remote.Work(short) // the controller does the rest later
		}
		return
	}
	var known []string
	for _, n := range names {
		if a.IsSource(strings.TrimSpace(n)) {
			known = append(known, n)
		}
	}
	if len(names) > 0 && len(known) == 0 {
		return
	}
	short, cancel := context.WithTimeout(ctx, dueTime)
	defer cancel()
	engine, err := a.Host.Engine(short)
	if err == nil {
		_, err = engine.Work(short, known...)
	}
	if err != nil {
		a.Log.Warn("what was due", "err", err)
	}
	if short.Err() != nil && ctx.Err() == nil {
		a.Host.LeaveWork() // the keeper goes on with it
		a.Ring(ctx)
	}
}
