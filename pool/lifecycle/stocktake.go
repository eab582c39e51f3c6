package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

const (
	journalKept    = 30 * 24 * time.Hour // events, and leases that ended
	inventoryEvery = 10 * time.Minute
)

// tidy does what is seldom due: it prunes the journal, and has stock compare the providers' lists
// with the records.
func (p *Background) tidy(ctx context.Context, stock func(*store.SourceRecord)) error {
	if !p.core.Opt.Inventory {
		return nil
	}
	p.core.Inflight.Mu.Lock()
	due := time.Since(p.core.Inflight.Inventory) >= inventoryEvery
	if due {
		p.core.Inflight.Inventory = time.Now()
	}
	p.core.Inflight.Mu.Unlock()
	if !due {
		return nil
	}
	var recs []*store.SourceRecord
	err := p.core.Store.Update(ctx, func(tx store.Tx) (err error) {
		if err = tx.Prune(time.Now().Add(-journalKept)); err == nil {
			recs, err = tx.Sources("")
		}
		return err
	})
	for _, rec := range recs {
		if rec.Type != allocate.PoolType {
			stock(rec)
		}
	}
	return err
}

// takeStock records computers on a provider's list that have no record, to be discarded. An
// instance has a record before it is made and until its end is proved. So such a computer comes
// from a request whose answer was lost, and whose process has died.
func (p *Background) takeStock(ctx context.Context, rec *store.SourceRecord) (stray []compute.ID, err error) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	o := p.providers.Open(ctx, rec)
	if o.Err != nil || len(o.Names) > 0 {
		// status tells that it does not open; machines that stay are not made by us
		return nil, nil
	}
	there, err := p.unrecorded(ctx, rec, o)
	if err != nil || len(there) == 0 {
		return nil, err
	}
	// A computer may have ended while the list was on its way: it has no record, and was on the
	// list. It is not on the next.
	first := map[compute.ID]bool{}
	for _, i := range there {
		first[i.ID] = true
	}
	if there, err = p.unrecorded(ctx, rec, o); err != nil {
		return nil, err
	}
	err = p.core.Store.Update(ctx, func(tx store.Tx) error {
		stray = nil
		for _, i := range there {
			if _, err := tx.Instance(i.ID); err == nil || !first[i.ID] {
				continue
			} else if !errors.Is(err, compute.ErrNotFound) {
				return err
			}
			n := &compute.Instance{ID: i.ID, Source: rec.Name, SourceKey: rec.Key, ProviderID: i.ProviderID,
				Address: i.Address, Created: time.Now(),
				Reason: "found at the provider without a record"}
			if _, err := p.core.Set(tx, n, steps.Find, compute.Event{Kind: "stray", Text: n.Reason}); err != nil {
				return err
			}
			stray = append(stray, i.ID)
		}
		return nil
	})
	return stray, err
}

// unrecorded lists a provider's computers of ours without a record.
func (p *Background) unrecorded(ctx context.Context, rec *store.SourceRecord, o *sources.Opened) (out []compute.Instance, err error) {
	there, err := o.Provider.List(ctx)
	if err != nil {
		return nil, &compute.Error{Op: "list", ID: compute.ID(rec.Name), Kind: fault.KindOf(err), Err: err}
	}
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		for _, i := range there {
			if _, err := tx.Instance(i.ID); errors.Is(err, compute.ErrNotFound) {
				out = append(out, i)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// absent ends the use of ready and leased instances whose provider says that their computer is
// gone. It ended while no controller ran, so that no watch of its health reported it. Only
// instances that are not on the provider's list are asked for one by one. found says that there
// were some.
func (p *Health) absent(ctx context.Context, rec *store.SourceRecord) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	o := p.providers.Ready(rec.Key)
	// other providers do not promise that they know, or that what is not there has ended
	if o == nil || o.Health.Watch == nil || len(o.Names) > 0 {
		return false, nil
	}
	// read before the list, as an instance made meanwhile is not on it
	var ours []*compute.Instance
	err = p.core.Store.View(ctx, func(tx store.Tx) (err error) {
		ours, err = tx.Instances(inventory.InstanceQuery{SourceKey: rec.Key, States: []compute.State{compute.Ready, compute.Leased}})
		return err
	})
	if err != nil || len(ours) == 0 {
		return false, err
	}
	there, err := o.Provider.List(ctx)
	if err != nil {
		return false, &compute.Error{Op: "list", ID: compute.ID(rec.Name), Kind: fault.KindOf(err), Err: err}
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
			if err = o.Same(ctx, i); !errors.Is(err, compute.ErrEnded) {
				continue
			}
		} else {
			err = p.providers.Healthy(ctx, o, i)
		}
		if sources.AsUnreachable(err) != nil || ctx.Err() != nil { // a later look finds out
			return false, ctx.Err()
		}
		switch {
		case isMisplaced(err):
		case errors.Is(err, compute.ErrEnded):
			over = append(over, end{i, sources.CauseOf(err)})
		case errors.Is(err, compute.ErrNotFound):
			over = append(over, end{i, "it was gone when it was looked for"})
		}
	}
	if len(over) == 0 {
		return false, nil
	}
	err = p.disposal.WithOpen(ctx, func(tx store.Tx) error {
		for _, x := range over {
			now, err := tx.Instance(x.of.ID)
			if errors.Is(err, compute.ErrNotFound) || err == nil && now.Row != x.of.Row {
				continue
			} else if err != nil {
				return err
			}
			if err := p.recordEnded(tx, x.of.ID, EndedWith(x.why)); err != nil {
				return fmt.Errorf("%s: %w", x.of.ID, err)
			}
		}
		return nil
	})
	p.core.Step("absent:recorded")
	return true, err
}
