package controller

import (
	"context"
	"sync"

	"github.com/hostler-project/hostler/host"
)

// followStore follows the other controllers of a shared store, and takes part in the election of
// a leader if directs is set, until ctx ends.
func (k *controller) followStore(ctx context.Context, directs bool) {
	c, ok := k.Host.Store().(host.SharedStore)
	if !ok {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		c.Listen(ctx, func() {
			k.now.Load().engine.Wake() // requests that wait on an older configuration look again
			k.wanted.ring()
			k.others.ring()
		})
	})
	if directs {
		c.Lead(ctx, func(leads bool) {
			if leads {
				k.Log.Info("directing", "store", k.Host.StoreAt())
				k.wanted.ring()
			} else if ctx.Err() == nil {
				k.Log.Info("not directing any more", "store", k.Host.StoreAt())
			}
		})
	}
}

// leads reports whether this controller directs. On a store that is not shared it always does.
func (k *controller) leads() bool {
	c, ok := k.Host.Store().(host.SharedStore)
	return !ok || c.Leads()
}
