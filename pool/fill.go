package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// Fill brings sources once up to their reserve, their spare instances and the least number ahead,
// within the maximum. No names: all sources. It returns the names of the instances that it made. A
// source that fails does not stop the others.
func (p *Pool) Fill(ctx context.Context, names ...string) ([]compute.ID, error) {
	var sources []*Source
	var errs []error
	if len(names) == 0 {
		for _, s := range p.core.ordered {
			if s.Err == nil && (s.Reserve > 0 || s.Spare > 0 || s.Ahead) {
				sources = append(sources, s)
			}
		}
	}
	for _, name := range names {
		s, err := p.core.find(name)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	var made []compute.ID
	for _, s := range sources {
		ids, err := p.background.fill(ctx, s)
		made = append(made, ids...)
		if err == nil {
			err = p.background.refresh(ctx, s)
		}
		if err == nil {
			err = p.ahead.fillAhead(ctx, s)
		}
		errs = append(errs, err)
	}
	return made, errors.Join(errs...)
}

// refresh replaces instances that a promotion has left, as far as there is room.
func (p *background) refresh(ctx context.Context, s *Source) error {
	old, _, err := p.rollouts.others(ctx, s)
	if err != nil || len(old) == 0 {
		return err
	}
	if err := p.rollouts.rollOut(ctx, s.Name, nil); !errors.Is(err, compute.ErrNoCapacity) {
		return err
	}
	return nil
}

func (p *background) fill(ctx context.Context, s *Source) ([]compute.ID, error) {
	if err := p.templates.prepare(ctx, s); err != nil {
		return nil, err
	}
	if err := p.recover(ctx, s); err != nil {
		return nil, err
	}
	units, leave, err := p.handouts.recordMissing(ctx, s, func(_ store.Tx, r *store.SourceRecord) (int, error) {
		return p.records.wanted(s, r, r.Counts.InUse()) - r.Counts.Cached() - r.Counts.InUse(), nil
	})
	if err != nil {
		return nil, err
	}
	defer leave()
	p.core.step("fill:recorded")
	return p.handouts.provisionAll(ctx, units)
}

// recordMissing records missing instances for the cache, as far as there is room. The caller
// raises them, and then must call leave.
func (p *handouts) recordMissing(
	ctx context.Context, s *Source, missing func(store.Tx, *store.SourceRecord) (int, error),
) (units []*allocate.Grant, leave func(), err error) {
	var taken []string
	err = p.core.store.Update(compute.Growing(ctx), func(tx store.Tx) error {
		p.core.inflight.leave(taken...)
		units, taken = nil, nil
		r, err := tx.Source(s.Name, s.Digest)
		if err != nil {
			return err
		}
		n, err := missing(tx, r)
		if err != nil || n <= 0 {
			return err
		}
		got, err := allocate.Fill(p.records.view(tx), s, n)
		if err == nil {
			err = p.records.apply(tx, got.Changes, nil)
		}
		units = got.Grants
		taken = keysOf(units)
		p.core.inflight.take(taken...)
		return err
	})
	if err != nil {
		p.core.inflight.leave(taken...)
		return nil, nil, err
	}
	return units, func() { p.core.inflight.leave(taken...) }, nil
}

// provisionAll makes grants for the cache. Each that succeeds is kept, whatever becomes of the
// others.
func (p *handouts) provisionAll(ctx context.Context, units []*allocate.Grant) ([]compute.ID, error) {
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
				u.Err = p.core.store.Update(ctx, func(tx store.Tx) error { return p.creation.putInCache(tx, u) })
			}
			u.Lease = lease
			if u.Err != nil {
				rest, cancel := cleanupContext(ctx)
				defer cancel()
				u.Err = errors.Join(u.Err, p.disposal.undo(rest, []*allocate.Grant{u}))
			}
			p.core.step("fill:made")
		})
	}
	wg.Wait()
	p.core.wake()
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
func (p *creation) settleChildren(tx store.Tx, u *allocate.Grant) error {
	for x := u.Child; x != nil; x = x.Child {
		i := *x.Instance
		if x.Lease.Worker == 0 && !x.Fresh {
			continue
		}
		if err := p.core.checkOwned(tx, &i); err != nil {
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
		if err := p.records.hand(tx, &allocate.Grant{Source: x.Source, Instance: &i, Lease: x.Lease}, false); err != nil {
			return err
		}
		if err := p.records.succeeded(tx, &i, x.Beyond); err != nil {
			return err
		}
	}
	return nil
}

// putInCache caches a grant that was made; a child behind it is leased to its pool.
func (p *creation) putInCache(tx store.Tx, u *allocate.Grant) error {
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
		if err := endLease(tx, l, allocate.Because("cached")); err != nil {
			return err
		}
		i.Uses-- // it was not used
	} else if err := p.core.checkOwned(tx, &i); err != nil {
		return err
	}
	if err := p.core.toReady(tx, &i, compute.Event{Kind: "made", Data: madeData(&i)}); err != nil {
		return err
	}
	return p.records.succeeded(tx, &i, u.Beyond)
}

// Hold keeps instances aside for a person to look at: the caller's leased ones, whose leases end,
// cached ones and failed ones. They are handed to nobody and counted nowhere until they are
// discarded.
func (p *Pool) Hold(ctx context.Context, who compute.Who, reason string, names ...compute.ID) error {
	err := p.core.store.Update(ctx, func(tx store.Tx) error {
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			i, l, err := p.leases.lookUp(tx, who, string(name))
			if err != nil {
				return err
			}
			if l != nil {
				if err := allowed(who, l); err != nil {
					return err
				}
				if why, err := p.clock.overBy(tx, l, time.Now()); err != nil {
					return err
				} else if why != "" {
					return &compute.Error{ID: i.ID, Kind: compute.ErrNotLeased, Err: fmt.Errorf("the lease has ended: %s", why)}
				}
				if err := p.leases.alone(tx, i, l); err != nil {
					return err
				}
				if err := endLease(tx, l, allocate.Because("held")); err != nil {
					return err
				}
				if l.Share != nil {
					if err := tx.SetRoom(i, nil); err != nil {
						return err
					}
				}
			}
			if l == nil && who.Within != nil {
				return &compute.Error{
					ID: i.ID, Kind: compute.ErrDenied,
					Err: fmt.Errorf("it is %s, and only administrators hold what is not in use", i.State),
				}
			}
			if i.State == compute.Held {
				if i.Retry.IsZero() {
					continue
				}
				i.Retry = time.Time{} // a person has it now: it is not discarded by itself any more
				if err := tx.SaveInstance(i); err != nil {
					return err
				}
				continue
			}
			if !compute.Allowed(i.State, compute.Held) {
				return &compute.Error{
					ID: i.ID, Kind: compute.ErrConflict, Err: fmt.Errorf("it is %s", i.State),
					Hint: "only what is in use, ready or failed can be held",
				}
			}
			i.Worker, i.Wanted, i.Fill, i.Reason, i.Cause, i.Retry = 0, "", false, reason, "", time.Time{}
			e := compute.Event{Owner: who.Owner, Text: reason}
			i.Booked = compute.Booking{}
			if l != nil { // it counts under quotas as long as it is held
				e.Project = l.Project
				i.Booked = compute.Booking{Project: l.Project, Owner: l.Owner, Holds: l.Holds}
			}
			if _, err := p.core.set(tx, i, compute.Held, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		p.core.step("hold:recorded")
	}
	return err
}
