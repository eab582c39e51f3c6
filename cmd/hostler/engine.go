package main

import (
	"context"
	"slices"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/server"
)

// engine is what the commands ask: the lease engine in this process, or a controller.
type engine interface {
	compute.Leaser
	server.Book
	server.Owner
}

var (
	_ engine = (*pool.Pool)(nil)
	_ engine = (*client.Client)(nil)
)

// engine finds what to ask, once: a controller if there is one, else the engine in this process.
func (a *app) engine(ctx context.Context) (engine, error) {
	if a.remote != nil {
		return a.remote, nil
	}
	if a.pool == nil && !a.compat && !a.keeping {
		c, err := a.controller(ctx)
		if err != nil {
			return nil, err
		}
		if c != nil {
			a.remote = c
			a.closers = append(a.closers, func() { _ = c.Close() })
			return c, nil
		}
	}
	return a.embedded(ctx)
}

// sources tells how all sources stand, where a controller has them.
func (a *app) sources(ctx context.Context) []compute.SourceStatus {
	if a.statuses == nil && a.remote != nil {
		a.statuses, _ = a.remote.Status(ctx) // what is asked of it next says why not
	}
	return a.statuses
}

// remoteSource is a source of the controller's.
func (a *app) remoteSource(name string) (compute.SourceStatus, bool) {
	all := a.sources(context.Background())
	i := slices.IndexFunc(all, func(s compute.SourceStatus) bool { return s.Name == name && !s.Orphaned })
	if i < 0 {
		return compute.SourceStatus{}, false
	}
	return all[i], true
}

// work has the engine in this process do what is due; a controller does so by itself.
func (a *app) work(ctx context.Context, names ...string) error {
	if a.remote != nil {
		return nil
	}
	engine, err := a.embedded(ctx)
	if err != nil {
		return err
	}
	_, err = engine.Work(ctx, names...)
	return err
}

// moving reports whether an instance is being cleaned or unmade now.
func (a *app) moving(i compute.Instance) bool {
	if i.State != compute.Cleaning && i.State != compute.Discarding {
		return false
	}
	if a.remote != nil {
		return i.Reason == ""
	}
	return i.Worker != 0 && a.store.Alive(i.Worker)
}
