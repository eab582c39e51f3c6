package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/store"
)

// Handouts is a request's way from a decision to leases that its user has.
type Handouts struct {
	core      *state.Core
	providers *sources.Providers
	records   *leasing.Records
	creation  *Creation
	disposal  *Disposal
}

func NewHandouts(c *state.Core, p *sources.Providers, r *leasing.Records, cr *Creation, d *Disposal) *Handouts {
	return &Handouts{c, p, r, cr, d}
}

// CatchUp does the work that is due for a source before it is used, at most once a second in a
// long-lived process.
func (p *Background) CatchUp(ctx context.Context, s *allocate.Source) error {
	p.core.Mu.Lock()
	at := p.core.At(s)
	recent := time.Since(at.Looked) < time.Second
	at.Looked = time.Now()
	p.core.Mu.Unlock()
	if recent {
		return nil
	}
	_, err := p.expire(ctx, time.Now())
	if err == nil {
		err = p.recover(ctx, s)
	}
	return err
}

// TryAcquire takes what a request needs, in one transaction, and then makes what is missing. The
// next attempt passes over a pool's child that cannot make its part. waiter is the request's
// place in the queue, which it leaves in the same transaction.
func (p *Handouts) TryAcquire(
	ctx context.Context, s *allocate.Source, req compute.Request, waiter *inventory.Waiter, waited time.Duration,
) ([]compute.Lease, error) {
	skip, err := p.records.BarredSources(s, req)
	if err != nil {
		return nil, err
	}
	barred := len(skip)
	var failures []error
	var until time.Time
	if req.Wait > 0 {
		until = time.Now().Add(req.Wait - waited)
	}
	for {
		units, err := p.decideAndRecord(ctx, s, req, waiter, skip)
		if err != nil {
			failures = append(failures, err)
			// waiting does not make it larger, but another child of a pool may be free later
			if e := allocate.NeverFits(failures...); e != nil && (!isShort(err) || !hasOthers(s, skip)) {
				return nil, e
			}
			return nil, errors.Join(failures...)
		}
		if waiter != nil {
			p.core.Inflight.Leave(state.RequestKey(waiter.ID))
			waiter.ID, waiter = 0, nil // its turn has come
		}
		if !unfinished(units) {
			p.core.Inflight.Leave(keysOf(units)...)
			return leasesOf(units), nil
		}
		for _, u := range units {
			_ = u.Each(func(u *allocate.Grant) error { u.Until = until; return nil })
		}
		again, err := p.finish(ctx, units, req, waited, skip)
		p.core.Inflight.Leave(keysOf(units)...)
		switch {
		case err == nil:
			return leasesOf(units), nil
		case !again && allocate.NeverFits(err) != nil:
			return nil, allocate.NeverFits(err)
		case !again && ctx.Err() == nil && (errors.Is(err, compute.ErrNoCapacity) || sources.AsUnreachable(err) != nil):
			// full now, but maybe not later
			return nil, &allocate.ShortError{Source: s, Text: fault.Message(errors.Join(append(failures, err)...))}
		case !again || ctx.Err() != nil:
			return nil, errors.Join(append(failures, err)...)
		case len(skip)-barred > len(failures): // another child may do
			failures = append(failures, err)
		}
	}
}

// isShort reports whether a request may be served later.
func isShort(err error) bool { return errors.As(err, new(*allocate.ShortError)) }

// hasOthers reports whether a source has real ones beside those to be skipped.
func hasOthers(s *allocate.Source, skip map[string]bool) bool {
	return slices.ContainsFunc(s.All(), func(c *allocate.Source) bool { return c.Type != allocate.PoolType && !skip[c.Name] })
}

func leasesOf(units []*allocate.Grant) []compute.Lease {
	out := make([]compute.Lease, 0, len(units))
	for _, u := range units {
		out = append(out, *u.Lease)
	}
	slices.SortFunc(out, func(a, b compute.Lease) int { return cmp.Compare(a.Instance, b.Instance) })
	return out
}

// unfinished reports whether something must be made or checked before the grants may be given to
// their user.
func unfinished(units []*allocate.Grant) bool {
	return slices.ContainsFunc(units, func(u *allocate.Grant) bool { return u.Fresh || u.Verify })
}

// decideAndRecord is the transaction of an acquire.
func (p *Handouts) decideAndRecord(
	ctx context.Context, s *allocate.Source, req compute.Request, waiter *inventory.Waiter, skip map[string]bool,
) ([]*allocate.Grant, error) {
	var got allocate.Result
	var taken []string
	want := allocate.Request{Request: req, Source: s, Waiter: waiter, Skip: skip, Ended: ctx.Err}
	want.Hooked, want.Checked, want.ByHooks = p.providers.LooksAt(s)
	err := p.core.Store.Update(store.Growing(ctx), func(tx store.Tx) (err error) {
		p.core.Inflight.Leave(taken...)
		taken = nil
		view, done := p.records.View(tx), func(allocate.Result, error) {}
		if record := p.core.Opt.Record; record != nil {
			view, done = record(view, want)
		}
		got, err = allocate.Acquire(view, want)
		if done(got, err); err != nil {
			return err
		}
		if err := p.records.Apply(tx, got.Changes, ctx.Err); err != nil {
			return err
		}
		taken = keysOf(got.Grants)
		p.core.Inflight.Take(taken...)
		if got.Pending && !unfinished(got.Grants) {
			if err := tell(tx, got.Grants); err != nil {
				return err
			}
		}
		if s.Share {
			return p.records.Reroom(tx, got.Grants)
		}
		return nil
	})
	if err != nil {
		p.core.Inflight.Leave(taken...)
		if short := (*allocate.ShortError)(nil); errors.As(err, &short) && len(short.Expired) > 0 {
			err = errors.Join(err, p.disposal.retire(ctx, short.Expired))
		}
		return nil, err
	}
	p.core.Step("acquire:recorded")
	return got.Grants, nil
}

// tell marks leases as given for good.
func tell(tx store.Tx, units []*allocate.Grant) error {
	for _, u := range units {
		err := u.Each(func(u *allocate.Grant) error {
			if u.Lease.Worker == 0 {
				return nil
			}
			u.Lease.Worker = 0
			return tx.SaveLease(u.Lease)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sawMade reports to Observe an instance that was made, or could not be.
func (p *Creation) sawMade(u *allocate.Grant, begin time.Time) {
	if p.core.Opt.Observe != nil {
		p.core.Opt.Observe(state.Sample{
			What: "make", Source: u.Source.Name, Class: ClassOf(u.Err), Took: time.Since(begin), Phases: u.Instance.Phases,
		})
	}
}

// ClassOf is the kind of an error, in one word; "": there is none.
func ClassOf(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(fault.KindOf(err).Error(), " ", "-")
}

// keysOf returns the keys of grants in Inflight.
func keysOf(units []*allocate.Grant) (keys []string) {
	for _, u := range units {
		_ = u.Each(func(u *allocate.Grant) error {
			keys = append(keys, string(u.Instance.ID))
			if u.Lease != nil {
				keys = append(keys, u.Lease.ID)
			}
			return nil
		})
	}
	return keys
}
