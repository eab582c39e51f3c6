package pool

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
)

// absent ends the use of what is recorded as ready or in use, and of which its provider says that
// it is no more: it ended while nobody looked, as when no controller ran, so that no Overseer tells
// of it. Only what is not on the provider's list is asked for one by one. found tells that there
// was some.
func (p *Pool) absent(ctx context.Context, rec *compute.SourceRecord) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	o := p.ready(rec.Key)
	// of others nobody promises that they know, or that what is not there has ended
	if o == nil || o.overseer == nil || len(o.names) > 0 {
		return false, nil
	}
	// from before the list: what is made while that is on its way is not on it
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
		if listed[i.ID] { // which may be of another computer now that was made under its name
			if err = o.same(ctx, i); !errors.Is(err, compute.ErrEnded) {
				continue
			}
		} else {
			err = p.healthy(ctx, o, i)
		}
		if isAway(err) != nil || ctx.Err() != nil { // another time
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
