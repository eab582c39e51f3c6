package pool

import (
	"context"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

// inVainFor notes that what was made for a want did not do for it. For a while no ready instance
// goes for that want, and each request that asks for it is told at once.
func (p *records) inVainFor(tx store.Tx, key int64, u *allocate.Grant) error {
	if !u.Fresh || u.Child != nil || u.Beyond == (demand.Demand{}) || u.Beyond.Price != 0 {
		return nil
	}
	all, err := allocate.ReadBackoffs(tx, key)
	if err != nil {
		return err
	}
	now := time.Now()
	all = slices.DeleteFunc(all, func(h allocate.Backoff) bool { return h.Demand == u.Beyond })
	h := allocate.Backoff{Demand: u.Beyond, Backoff: compute.Backoff{Full: allocate.BreakAt, Paused: now, LastError: causeOf(u.Err)}}
	return saveBackoffs(tx, key, append(all, h), now)
}

// makeWay discards ready instances that would do for no waiting request, as far as one waits for
// room. done says that there were some. It only records them: the work is done with what is due.
func (p *records) makeWay(ctx context.Context) (done bool, err error) {
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		ways, err := allocate.Victims(p.view(tx))
		done = len(ways) > 0
		return err
	})
	if err != nil || !done {
		return false, err
	}
	err = p.core.store.Update(ctx, func(tx store.Tx) error {
		ways, err := allocate.Victims(p.view(tx))
		if err != nil {
			return err
		}
		done = len(ways) > 0
		for _, w := range ways {
			if err := p.toDiscarding(tx, w.Instance, w.Why); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !done {
		return false, err
	}
	p.core.step("queue:way")
	p.core.opt.Left()
	return true, nil
}
