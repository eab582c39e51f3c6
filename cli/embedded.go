package cli

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

// embedded is the backend of a command that has the engine in its own process.
type embedded struct{ app *App }

func (b embedded) engine(ctx context.Context) (Engine, error) { return b.app.Host.Engine(ctx) }

func (b embedded) self() api.Self {
	return api.Self{Here: true, Own: true, Identity: api.Identity{Store: b.app.Host.StoreAt()}}
}

func (b embedded) owner() string { return host.LocalUser() }

// sources returns what the configuration says of each source, as nothing else is known without
// the engine.
func (b embedded) sources(context.Context) []inventory.SourceStatus {
	cfg, err := b.app.Host.Configuration()
	if err != nil {
		return nil
	}
	all := make([]inventory.SourceStatus, len(cfg.Sources))
	for i, s := range cfg.Sources {
		all[i] = configuredStatus(s)
	}
	return all
}

// configuredStatus says of a source what its configuration says.
func configuredStatus(s *config.Source) inventory.SourceStatus {
	return inventory.SourceStatus{
		Name: s.Name, Type: s.Type, Concurrency: s.Concurrency, Health: inventory.Health{Broken: s.Err}, Children: s.Sources,
		TTL: host.Deref(s.TTL), LeaseIdle: host.Deref(s.LeaseIdle), Image: cmp.Or(s.Image, s.Settings["image"]),
	}
}

func (b embedded) limited(source string) bool {
	s, ok := b.app.Source(source)
	return !ok || s.Concurrency > 0
}

func (b embedded) moving(i compute.Instance) bool {
	return i.Worker != 0 && b.app.Host.Store().Alive(i.Worker)
}

// dueTime is how long a command that only shows something works on what is due. The keeper does the
// rest.
const dueTime = 2 * time.Second

// due works for a short time on the named sources, or on all. The keeper goes on with what is
// left.
func (b embedded) due(ctx context.Context, names []string) {
	a := b.app
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
		_, err = engine.RunDue(short, known...)
	}
	if err != nil {
		a.Log.Warn("what was due", "err", err)
	}
	if short.Err() != nil && ctx.Err() == nil {
		a.Host.LeaveWork() // the keeper goes on with it
		a.Ring(ctx)
	}
}

// watchEvery is how often the journal is read, as a file gives no notice.
const watchEvery = 300 * time.Millisecond

// watch reads the journal again and again.
func (b embedded) watch(ctx context.Context, engine Engine, q inventory.EventQuery, f func(compute.Event) error) error {
	q.Newest = 0
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(watchEvery):
		}
		found, err := engine.Events(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range found {
			if err := f(e); err != nil {
				return err
			}
			q.After = max(q.After, e.ID)
		}
	}
}
