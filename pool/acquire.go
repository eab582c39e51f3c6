package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// Acquire gives leases on req.Count instances of a source, or none. Where enough are ready it costs
// one durable transaction.
func (p *Pool) Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	ctx, span := trace.Start(
		ctx, "acquire", trace.Attr{Key: "hostler.source", Value: req.Source},
		trace.Attr{Key: "hostler.count", Value: req.Count},
	)
	if p.core.opt.Observe == nil && span == nil {
		return p.acquireAndNote(ctx, req)
	}
	w := &acquireObserver{ctx: ctx, begin: time.Now(), notify: req.Notify}
	req.Notify = w.progress
	leases, err := p.acquireAndNote(ctx, req)
	hit := w.end()
	span.Set(trace.Attr{Key: "hostler.hit", Value: err == nil && hit})
	if len(leases) > 0 {
		span.Set(trace.Attr{Key: "hostler.instance", Value: string(leases[0].Instance)})
	}
	span.End(err)
	if p.core.opt.Observe != nil {
		source := req.Source
		if _, ok := p.core.sources[source]; !ok {
			source = "" // the caller may have made the name up
		}
		p.core.opt.Observe(Sample{
			What: "acquire", Source: source, Class: classOf(err), Took: time.Since(w.begin), Waited: w.waited,
			Hit: err == nil && hit, Count: len(leases),
		})
	}
	return leases, err
}

// acquire is Acquire without metrics.
func (p *Pool) acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	start := time.Now()
	s, err := p.core.find(req.Source)
	if err != nil {
		return nil, err
	}
	if err := p.records.check(s, &req); err != nil {
		return nil, err
	}
	if _, err := p.records.barredSources(s, req); err != nil {
		return nil, err
	}
	if err := p.templates.prepare(ctx, s); err != nil {
		return nil, err
	}
	if req.Count == 0 {
		return nil, nil
	}
	if err := p.records.checkChoice(ctx, s, &req); err != nil {
		return nil, err
	}
	if err := p.records.checkPrice(ctx, s, req); err != nil {
		return nil, err
	}
	if err := p.records.fits(s, req); err != nil {
		return nil, err
	}
	if err := p.background.catchUp(ctx, s); err != nil {
		return nil, err
	}
	leases, err := p.handouts.attempt(ctx, s, req, nil, 0)
	var short *allocate.ShortError
	if !errors.As(err, &short) {
		return leases, err
	}
	return p.queue.enqueue(ctx, s, req, short, start)
}

// catchUp does the work that is due for a source before it is used, at most once a second in a
// long-lived process.
func (p *background) catchUp(ctx context.Context, s *Source) error {
	p.core.mu.Lock()
	at := p.core.at(s)
	recent := time.Since(at.looked) < time.Second
	at.looked = time.Now()
	p.core.mu.Unlock()
	if recent {
		return nil
	}
	_, err := p.expire(ctx, time.Now())
	if err == nil {
		err = p.recover(ctx, s)
	}
	return err
}

// isID reports whether a name has the form of a lease's id: a UUID.
func isID(name string) bool {
	return len(name) == 36 && name[8] == '-' && name[13] == '-' && name[18] == '-' && name[23] == '-'
}

// check completes a request from its source, and returns an error if it is impossible.
func (p *records) check(s *Source, req *compute.Request) error {
	bad := func(format string, args ...any) error {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case req.Owner == "" || allocate.OwnsAsPool(req.Owner):
		return bad("a lease needs an owner")
	case req.Count < 0:
		return bad("%d instances cannot be asked for", req.Count)
	case req.Name != "" && req.Count != 1:
		return bad("a name is for one lease, not for %d", req.Count)
	case isID(req.Name):
		return bad("a name that looks like a lease's id, such as %q, could be taken for another lease", req.Name)
	case allocate.DemandOf(*req).Amount().Check() != nil:
		return bad("%v", allocate.DemandOf(*req).Amount().Check())
	case s.LongestTTL() > 0 && req.TTL > s.LongestTTL():
		return bad("a ttl of %v was asked for, and its max-ttl is %v", req.TTL, s.LongestTTL())
	}
	if req.TTL == 0 {
		req.TTL = s.TTL
	}
	if most := s.LongestTTL(); req.TTL <= 0 || most > 0 && req.TTL > most {
		req.TTL = most // 0: none
	}
	if req.Idle == 0 {
		req.Idle = cmp.Or(s.LeaseIdle, p.core.opt.LeaseIdle)
	}
	req.Idle = max(0, req.Idle)
	return nil
}

// attempt takes what a request needs, in one transaction, and then makes what is missing. The next
// attempt passes over a pool's child that cannot make its part. waiter is the request's place in
// the queue, which it leaves in the same transaction.
func (p *handouts) attempt(
	ctx context.Context, s *Source, req compute.Request, waiter *compute.Waiter, waited time.Duration,
) ([]compute.Lease, error) {
	skip, err := p.records.barredSources(s, req)
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
		units, err := p.grab(ctx, s, req, waiter, skip)
		if e := allocate.NeverFits(append(failures, err)...); err != nil && e != nil {
			return nil, e // waiting does not make it larger
		}
		if err != nil {
			return nil, errors.Join(append(failures, err)...)
		}
		if waiter != nil {
			p.core.inflight.leave(requestKey(waiter.ID))
			waiter.ID, waiter = 0, nil // its turn has come
		}
		if !unfinished(units) {
			p.core.inflight.leave(keysOf(units)...)
			return leasesOf(units), nil
		}
		for _, u := range units {
			_ = u.Each(func(u *allocate.Grant) error { u.Until = until; return nil })
		}
		again, err := p.finish(ctx, units, req, waited, skip)
		p.core.inflight.leave(keysOf(units)...)
		switch {
		case err == nil:
			return leasesOf(units), nil
		case !again && allocate.NeverFits(err) != nil:
			return nil, allocate.NeverFits(err)
		case !again && ctx.Err() == nil && (errors.Is(err, compute.ErrNoCapacity) || asUnreachable(err) != nil):
			// full now, but maybe not later
			return nil, &allocate.ShortError{Source: s, Text: compute.Said(errors.Join(append(failures, err)...))}
		case !again || ctx.Err() != nil:
			return nil, errors.Join(append(failures, err)...)
		case len(skip)-barred > len(failures): // another child may do
			failures = append(failures, err)
		}
	}
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

// looksAt reports whether hooks run when instances of a source are handed out, and whether cached
// ones can be checked before, and by hooks.
func (p *providers) looksAt(s *Source) (hooked, checked, byHooks bool) {
	for _, c := range s.All() {
		p.core.mu.Lock()
		o := p.opened[p.core.at(c).key]
		p.core.mu.Unlock()
		hooked = hooked || c.Has("acquire")
		byHooks = byHooks || c.Has("check")
		checked = checked || byHooks || o != nil && o.checks
	}
	return hooked, checked, byHooks
}

// grab is the transaction of an acquire.
func (p *handouts) grab(
	ctx context.Context, s *Source, req compute.Request, waiter *compute.Waiter, skip map[string]bool,
) ([]*allocate.Grant, error) {
	var got allocate.Result
	var taken []string
	want := allocate.Request{Request: req, Source: s, Waiter: waiter, Skip: skip, Ended: ctx.Err}
	want.Hooked, want.Checked, want.ByHooks = p.providers.looksAt(s)
	err := p.core.store.Update(compute.Growing(ctx), func(tx store.Tx) (err error) {
		p.core.inflight.leave(taken...)
		taken = nil
		if got, err = allocate.Acquire(p.records.view(tx), want); err != nil {
			return err
		}
		if err := p.records.apply(tx, got.Changes, ctx.Err); err != nil {
			return err
		}
		taken = keysOf(got.Grants)
		p.core.inflight.take(taken...)
		if got.Pending && !unfinished(got.Grants) {
			if err := tell(tx, got.Grants); err != nil {
				return err
			}
		}
		if s.Share {
			return p.records.reroom(tx, got.Grants)
		}
		return nil
	})
	if err != nil {
		p.core.inflight.leave(taken...)
		if short := (*allocate.ShortError)(nil); errors.As(err, &short) && len(short.Expired) > 0 {
			err = errors.Join(err, p.disposal.retire(ctx, short.Expired))
		}
		return nil, err
	}
	p.core.step("acquire:recorded")
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

// fits returns an error if a request asks for more than a source can ever have.
func (p *records) fits(s *Source, req compute.Request) error {
	if m := p.maximum(s); m > 0 && req.Count > m && !req.CachedOnly && !s.Share {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity,
			Err:  fmt.Errorf("%d asked for, and its maximum is %d", req.Count, m),
			Hint: "ask for fewer, or raise `maximum` in its source.conf"}
	}
	return nil
}
