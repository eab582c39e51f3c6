package main

import (
	"context"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
)

// engine is what the commands ask: the lease engine in this process, or a controller.
type engine interface {
	compute.Leaser
	server.Book
	server.Owner
	server.Line
}

var (
	_ engine = (*pool.Pool)(nil)
	_ engine = (*client.Client)(nil)
)

// engine finds what to ask, once: a controller if there is one, else the engine in this process.
func (a *app) engine(ctx context.Context) (engine, error) {
	if err := a.findController(ctx); err != nil {
		return nil, err
	}
	if a.remote != nil {
		return a.remote, nil
	}
	return a.embedded(ctx)
}

// findController finds the controller to ask, if there is one: a.remote is nil where the command
// works by itself.
func (a *app) findController(ctx context.Context) error {
	if a.remote != nil || a.pool != nil || a.compat || a.keeping {
		return nil
	}
	c, self, err := a.controller(ctx)
	if c != nil {
		a.closers = append(a.closers, func() { _ = c.Close() })
	}
	fits := false
	if err == nil && c != nil {
		fits, err = a.fits(self)
	}
	if err == nil && fits {
		a.remote, a.self = c, self
	}
	return err
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
		return i.Attempts == 0 // else it failed before, and rests
	}
	return i.Worker != 0 && a.store.Alive(i.Worker)
}
