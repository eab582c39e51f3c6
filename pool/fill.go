package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// Fill brings sources once up to their reserve, their spare instances and the least number ahead,
// within the maximum. No names: all sources. It returns the names of the instances that it made. A
// source that fails does not stop the others.
func (p *Pool) Fill(ctx context.Context, names ...string) ([]compute.ID, error) {
	var sources []*Source
	var errs []error
	if len(names) == 0 {
		for _, s := range p.core.Ordered {
			if s.Err == nil && (s.Reserve > 0 || s.Spare > 0 || s.Ahead) {
				sources = append(sources, s)
			}
		}
	}
	for _, name := range names {
		s, err := p.core.Find(name)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	var made []compute.ID
	for _, s := range sources {
		ids, err := p.background.Fill(ctx, s)
		made = append(made, ids...)
		if err == nil {
			err = p.background.Refresh(ctx, s)
		}
		if err == nil {
			err = p.ahead.FillAhead(ctx, s)
		}
		errs = append(errs, err)
	}
	return made, errors.Join(errs...)
}

// Hold keeps instances aside for a person to look at: the caller's leased ones, whose leases end,
// cached ones and failed ones. They are handed to nobody and counted nowhere until they are
// discarded.
func (p *Pool) Hold(ctx context.Context, who compute.Who, reason string, names ...compute.ID) error {
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			i, l, err := p.leases.LookUp(tx, who, string(name))
			if err != nil {
				return err
			}
			if l != nil {
				if err := leasing.Allowed(who, l); err != nil {
					return err
				}
				if why, err := p.clock.OverBy(tx, l, time.Now()); err != nil {
					return err
				} else if why != "" {
					return &compute.Error{ID: i.ID, Kind: compute.ErrNotLeased, Err: fmt.Errorf("the lease has ended: %s", why)}
				}
				if err := p.leases.Alone(tx, i, l); err != nil {
					return err
				}
				if err := leasing.EndLease(tx, l, allocate.Because("held")); err != nil {
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
			if !steps.May(i.State, steps.Hold) {
				return &compute.Error{
					ID: i.ID, Kind: compute.ErrConflict, Err: fmt.Errorf("it is %s", i.State),
					Hint: "only what is in use, ready or failed can be held",
				}
			}
			i.Worker, i.Wanted, i.Fill, i.Reason, i.Cause, i.Retry = 0, "", false, reason, "", time.Time{}
			e := compute.Event{Owner: who.Owner, Text: reason}
			i.Booked = compute.Reservation{}
			if l != nil { // it counts under quotas as long as it is held
				e.Project = l.Project
				i.Booked = compute.Reservation{Project: l.Project, Owner: l.Owner, Holds: l.Holds}
			}
			if _, err := p.core.Set(tx, i, steps.Hold, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		p.core.Step("hold:recorded")
	}
	return err
}
