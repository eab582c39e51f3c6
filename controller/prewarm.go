package controller

import (
	"context"
	"sync"
	"time"

	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// prewarmer is a provider that can do part of making an instance before anybody asks for one. It
// does so while Ahead runs.
type prewarmer interface {
	Ahead(ctx context.Context) error
}

// reloadCheck is how often to check whether the configuration was reloaded.
const reloadCheck = 2 * time.Second

// keepPrewarmed runs Ahead on the providers of the current configuration until ctx ends.
func (k *controller) keepPrewarmed(ctx context.Context) {
	t := time.NewTicker(reloadCheck)
	defer t.Stop()
	for ctx.Err() == nil {
		now := k.now.Load()
		stop := startPrewarming(ctx, now.engine)
		for k.now.Load() == now && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-t.C:
			}
		}
		stop()
	}
}

// startPrewarming runs Ahead on the providers of an engine's sources until stop is called.
func startPrewarming(ctx context.Context, e *pool.Pool) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	sources, _ := e.Status(ctx) // the next caller is told the error
	for _, s := range sources {
		if s.Orphaned || s.Broken != nil {
			continue
		}
		p, err := e.Provider(ctx, s.Name)
		if err != nil {
			continue
		}
		if r, ok := provider.As[prewarmer](p); ok {
			all.Go(func() { _ = r.Ahead(ctx) }) // it ends only with ctx
		}
	}
	return func() {
		cancel()
		all.Wait()
	}
}
