package controller

import (
	"context"
	"sync"

	"github.com/hostler-project/hostler/director"
)

// runDirector runs a director for the sources of the current configuration until ctx ends. Work in
// progress is finished when the configuration changes.
func (k *controller) runDirector(ctx context.Context) {
	now := k.now.Load()
	opt := now.direct
	opt.Pool, opt.Bell, opt.Log, opt.Leads = k.metrics.measurePool(now.engine), k.wanted, k.Log, k.leads
	d, err := director.New(opt)
	if err != nil {
		k.Log.Error("no director", "err", err) // only a bug leads here
		return
	}
	k.planner.director.Store(d)
	var changes sync.WaitGroup
	defer changes.Wait()
	changes.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-now.over:
			}
			now = k.now.Load()
			next := now.direct
			next.Pool = k.metrics.measurePool(now.engine)
			d.Change(next)
		}
	})
	_ = d.Run(ctx)
}
