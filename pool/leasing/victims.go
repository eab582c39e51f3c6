package leasing

import (
	"context"

	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// MakeWay discards ready instances that would do for no waiting request, as far as one waits for
// room. done says that there were some. It only records them: the work is done with what is due.
func (p *Records) MakeWay(ctx context.Context) (done bool, err error) {
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		ways, err := allocate.Victims(p.View(tx))
		done = len(ways) > 0
		return err
	})
	if err != nil || !done {
		return false, err
	}
	err = p.core.Store.Update(ctx, func(tx store.Tx) error {
		ways, err := allocate.Victims(p.View(tx))
		if err != nil {
			return err
		}
		done = len(ways) > 0
		for _, w := range ways {
			if err := p.ToDiscarding(tx, w.Instance, w.Why); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !done {
		return false, err
	}
	p.core.Step("queue:way")
	p.core.Opt.Left()
	return true, nil
}
