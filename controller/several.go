package controller

import (
	"context"
	"sync"

	"github.com/hostler-project/hostler/host"
)

// share does what there is to do where a controller may have others beside it, until ctx ends.
func (k *Controller) share(ctx context.Context, directs bool) {
	c, ok := k.Host.Store().(host.SharedStore)
	if !ok {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		c.Listen(ctx, func() {
			k.now.Load().engine.Ring() // whoever waits with an older configuration looks by himself
			k.want()
			k.others.ring()
		})
	})
	if directs {
		c.Lead(ctx, func(leads bool) {
			if leads {
				k.Log.Info("directing", "store", k.Host.StoreAt())
				k.want()
			} else if ctx.Err() == nil {
				k.Log.Info("not directing any more", "store", k.Host.StoreAt())
			}
		})
	}
}

// leads tells whether this controller directs: the only one on its store does.
func (k *Controller) leads() bool {
	c, ok := k.Host.Store().(host.SharedStore)
	return !ok || c.Leads()
}

// want says that there may be something to make.
func (k *Controller) want() {
	k.wanted.ring()
}
