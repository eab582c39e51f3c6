package controller

import (
	"context"
	"sync"

	"github.com/hostler-project/hostler/director"
)

// direct has a director keep the sources of the newest configuration at what they want, until ctx
// ends. What is under way when the configuration changes is carried out.
func (k *Controller) direct(ctx context.Context) {
	now := k.now.Load()
	opt := now.direct
	opt.Pool, opt.Bell, opt.Log, opt.Leads = k.meters.directed(now.engine), k.wanted, k.Log, k.leads
	d, err := director.New(opt)
	if err != nil {
		k.Log.Error("no director", "err", err) // of a mistake of ours alone
		return
	}
	k.ahead.director.Store(d)
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
			next.Pool = k.meters.directed(now.engine)
			d.Change(next)
		}
	})
	_ = d.Run(ctx)
}
