package controller

import (
	"context"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// readying is a provider that can do a part of making an instance before anybody wants one, as long
// as its Ahead runs.
type readying interface {
	Ahead(ctx context.Context) error
}

// lookAnew is how often it is seen whether the configuration was read anew.
const lookAnew = 2 * time.Second

// keepAhead has the providers of the newest configuration do what they can ahead of need, until ctx
// ends.
func (k *Controller) keepAhead(ctx context.Context) {
	t := time.NewTicker(lookAnew)
	defer t.Stop()
	for ctx.Err() == nil {
		now := k.now.Load()
		stop := startAhead(ctx, now.engine)
		for k.now.Load() == now && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-t.C:
			}
		}
		stop()
	}
}

// startAhead has the providers of an engine's sources begin, and returns what ends that.
func startAhead(ctx context.Context, e *pool.Pool) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	sources, _ := e.Status(ctx) // who asks next hears why not
	for _, s := range sources {
		if s.Orphaned || s.Broken != nil {
			continue
		}
		p, err := e.Provider(ctx, s.Name)
		if err != nil {
			continue
		}
		if r, ok := compute.As[readying](p); ok {
			all.Go(func() { _ = r.Ahead(ctx) }) // ends with ctx alone
		}
	}
	return func() {
		cancel()
		all.Wait()
	}
}
