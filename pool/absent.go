package pool

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
)

// absent ends the use of ready and leased instances whose provider says that their computer is
// gone. It ended while no controller ran, so that no Overseer reported it. Only instances that are
// not on the provider's list are asked for one by one. found says that there were some.
func (p *Pool) absent(ctx context.Context, rec *compute.SourceRecord) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	o := p.ready(rec.Key)
	// other providers do not promise that they know, or that what is not there has ended
	if o == nil || o.overseer == nil || len(o.names) > 0 {
		return false, nil
	}
	// read before the list, as an instance made meanwhile is not on it
	var ours []*compute.Instance
	err = p.store.View(ctx, func(tx compute.Tx) (err error) {
		ours, err = tx.Instances(compute.InstanceQuery{SourceKey: rec.Key, States: []compute.State{compute.Ready, compute.Leased}})
		return err
	})
	if err != nil || len(ours) == 0 {
		return false, err
	}
	there, err := o.provider.List(ctx)
	if err != nil {
		return false, &compute.Error{Op: "list", ID: compute.ID(rec.Name), Kind: kindOf(err), Err: err}
	}
	listed := make(map[compute.ID]bool, len(there))
	for _, i := range there {
		listed[i.ID] = true
	}
	type end struct {
		of  *compute.Instance
		why string
	}
	var over []end
	for _, i := range ours {
		var err error
		if listed[i.ID] { // it may be another computer that was made under the name since
			if err = o.same(ctx, i); !errors.Is(err, compute.ErrEnded) {
				continue
			}
		} else {
			err = p.healthy(ctx, o, i)
		}
		if isAway(err) != nil || ctx.Err() != nil { // a later look finds out
			return false, ctx.Err()
		}
		switch {
		case isElsewhere(err):
		case errors.Is(err, compute.ErrEnded):
			over = append(over, end{i, causeOf(err)})
		case errors.Is(err, compute.ErrNotFound):
			over = append(over, end{i, "it was gone when it was looked for"})
		}
	}
	if len(over) == 0 {
		return false, nil
	}
	err = p.withOpen(ctx, func(tx compute.Tx) error {
		for _, x := range over {
			now, err := tx.Instance(x.of.ID)
			if errors.Is(err, compute.ErrNotFound) || err == nil && now.Row != x.of.Row {
				continue
			} else if err != nil {
				return err
			}
			if err := p.bury(tx, x.of.ID, perished+x.why); err != nil {
				return fmt.Errorf("%s: %w", x.of.ID, err)
			}
		}
		return nil
	})
	p.step("absent:recorded")
	return true, err
}
