package lifecycle

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// Refresh replaces instances that a promotion has left, as far as there is room.
func (p *Background) Refresh(ctx context.Context, s *allocate.Source) error {
	old, _, err := p.rollouts.Others(ctx, s)
	if err != nil || len(old) == 0 {
		return err
	}
	if err := p.rollouts.RollOut(ctx, s.Name, nil); !errors.Is(err, compute.ErrNoCapacity) {
		return err
	}
	return nil
}

// Fill creates the instances that s wants and does not have, and returns their IDs once they are
// made. The template is prepared first, and what needs recovery is recovered.
func (p *Background) Fill(ctx context.Context, s *allocate.Source) ([]compute.ID, error) {
	if err := p.templates.Prepare(ctx, s); err != nil {
		return nil, err
	}
	if err := p.recover(ctx, s); err != nil {
		return nil, err
	}
	units, leave, err := p.handouts.recordMissing(ctx, s, func(_ store.Tx, r *store.SourceRecord) (int, error) {
		return p.records.Wanted(s, r, r.Counts.InUse()) - r.Counts.Cached() - r.Counts.InUse(), nil
	})
	if err != nil {
		return nil, err
	}
	defer leave()
	p.core.Step("fill:recorded")
	return p.handouts.provisionAll(ctx, units)
}

// recordMissing records missing instances for the cache, as far as there is room. The caller
// raises them, and then must call leave.
func (p *Handouts) recordMissing(
	ctx context.Context, s *allocate.Source, missing func(store.Tx, *store.SourceRecord) (int, error),
) (units []*allocate.Grant, leave func(), err error) {
	var taken []string
	err = p.core.Store.Update(store.Growing(ctx), func(tx store.Tx) error {
		p.core.Inflight.Leave(taken...)
		units, taken = nil, nil
		r, err := tx.Source(s.Name, s.Digest)
		if err != nil {
			return err
		}
		n, err := missing(tx, r)
		if err != nil || n <= 0 {
			return err
		}
		got, err := allocate.Fill(p.records.View(tx), s, n)
		if err == nil {
			err = p.records.Apply(tx, got.Changes, nil)
		}
		units = got.Grants
		taken = keysOf(units)
		p.core.Inflight.Take(taken...)
		return err
	})
	if err != nil {
		p.core.Inflight.Leave(taken...)
		return nil, nil, err
	}
	return units, func() { p.core.Inflight.Leave(taken...) }, nil
}

// provisionAll makes grants for the cache. Each that succeeds is kept, whatever becomes of the
// others.
func (p *Handouts) provisionAll(ctx context.Context, units []*allocate.Grant) ([]compute.ID, error) {
	gate := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for _, u := range units {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			lease := u.Lease
			u.Lease = nil // it is handed to no request
			if u.Fresh {
				u.Err = p.creation.provision(ctx, u, nil, 0)
			}
			if u.Err == nil {
				u.Err = p.core.Store.Update(ctx, func(tx store.Tx) error { return p.creation.putInCache(tx, u) })
			}
			u.Lease = lease
			if u.Err != nil {
				rest, cancel := state.CleanupContext(ctx)
				defer cancel()
				u.Err = errors.Join(u.Err, p.disposal.undo(rest, []*allocate.Grant{u}))
			}
			p.core.Step("fill:made")
		})
	}
	wg.Wait()
	p.core.Wake()
	var made []compute.ID
	var errs []error
	for _, u := range units {
		errs = append(errs, u.Err)
		if u.Err == nil {
			made = append(made, u.Instance.ID)
		}
	}
	return made, errors.Join(errs...)
}

// settleChildren makes the pools' leases on the children behind a grant final.
func (p *Creation) settleChildren(tx store.Tx, u *allocate.Grant) error {
	for x := u.Child; x != nil; x = x.Child {
		i := *x.Instance
		if x.Lease.Worker == 0 && !x.Fresh {
			continue
		}
		if err := p.core.CheckOwned(tx, &i); err != nil {
			return err
		}
		if !x.Fresh {
			l := *x.Lease
			l.Worker = 0
			if err := tx.SaveLease(&l); err != nil {
				return err
			}
			continue
		}
		basis, err := tx.Append(&compute.Event{Time: time.Now(), Kind: "made", Source: i.Source, Instance: i.ID, Data: madeData(&i)})
		if err != nil {
			return err
		}
		i.Basis, i.ReadyAt = basis, time.Now()
		if err := p.records.Hand(tx, &allocate.Grant{Source: x.Source, Instance: &i, Lease: x.Lease}, false); err != nil {
			return err
		}
		if err := p.records.Succeeded(tx, &i, x.Beyond); err != nil {
			return err
		}
	}
	return nil
}

// putInCache caches a grant that was made; a child behind it is leased to its pool.
func (p *Creation) putInCache(tx store.Tx, u *allocate.Grant) error {
	if err := p.settleChildren(tx, u); err != nil {
		return err
	}
	i := *u.Instance
	// a pool's without hooks of its own, over a cached child: it was recorded as in use
	if !u.Fresh {
		l, err := tx.LeaseOf(i.ID)
		if err != nil {
			return err
		}
		if err := leasing.EndLease(tx, l, allocate.Because("cached")); err != nil {
			return err
		}
		i.Uses-- // it was not used
	} else if err := p.core.CheckOwned(tx, &i); err != nil {
		return err
	}
	if err := p.core.ToReady(tx, &i, steps.Cache, compute.Event{Kind: "made", Data: madeData(&i)}); err != nil {
		return err
	}
	return p.records.Succeeded(tx, &i, u.Beyond)
}
