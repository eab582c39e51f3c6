package main

import (
	"context"
	"sync"

	"github.com/hostler-project/hostler/host"
)

// share does what there is to do where a controller may have others beside it, until ctx ends.
func (k *controller) share(ctx context.Context, directs bool) {
	c, ok := k.host.Store().(host.SharedStore)
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
				k.log.Info("directing", "store", k.host.StoreAt())
				k.want()
			} else if ctx.Err() == nil {
				k.log.Info("not directing any more", "store", k.host.StoreAt())
			}
		})
	}
}

// leads tells whether this controller directs: the only one on its store does.
func (k *controller) leads() bool {
	c, ok := k.host.Store().(host.SharedStore)
	return !ok || c.Leads()
}

// want says that there may be something to make.
func (k *controller) want() {
	k.wanted.ring()
}
