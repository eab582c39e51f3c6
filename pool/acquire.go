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
	"github.com/hostler-project/hostler/store"
)

// Acquire gives leases on req.Count instances of a source, or none. Where enough are ready it costs
// one durable transaction.
func (p *Pool) Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	ctx, span := trace.Start(
		ctx, "acquire", trace.Attr{Key: "hostler.source", Value: req.Source},
		trace.Attr{Key: "hostler.count", Value: req.Count},
	)
	if p.opt.Observe == nil && span == nil {
		return p.tallied(ctx, req)
	}
	w := &watched{ctx: ctx, begin: time.Now(), notify: req.Notify}
	req.Notify = w.hear
	leases, err := p.tallied(ctx, req)
	hit := w.end()
	span.Set(trace.Attr{Key: "hostler.hit", Value: err == nil && hit})
	if len(leases) > 0 {
		span.Set(trace.Attr{Key: "hostler.instance", Value: string(leases[0].Instance)})
	}
	span.End(err)
	if p.opt.Observe != nil {
		source := req.Source
		if _, ok := p.sources[source]; !ok {
			source = "" // the caller may have made the name up
		}
		p.opt.Observe(Sight{
			What: "acquire", Source: source, Class: classOf(err), Took: time.Since(w.begin), Waited: w.waited,
			Hit: err == nil && hit, Count: len(leases),
		})
	}
	return leases, err
}

// errShort says that nothing is free now, but may be later. A request that does not wait gets it as
// ErrNoCapacity.
type errShort struct {
	source *source
	text   string
	causes []error
	worn   bool // some ready instances were found worn, and make room when they are gone
}

func (e *errShort) Error() string {
	text := e.source.Name + ": no capacity: " + e.text
	for _, c := range e.causes {
		text += "; " + compute.Said(c)
	}
	return text
}

func (e *errShort) Unwrap() []error { return append([]error{compute.ErrNoCapacity}, e.causes...) }

// acquire is Acquire without metrics.
func (p *Pool) acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	start := time.Now()
	s, err := p.find(req.Source)
	if err != nil {
		return nil, err
	}
	if err := p.check(s, &req); err != nil {
		return nil, err
	}
	if _, err := p.barred(s, req); err != nil {
		return nil, err
	}
	if err := p.prepare(ctx, s); err != nil {
		return nil, err
	}
	if req.Count == 0 {
		return nil, nil
	}
	if err := p.checkChoice(ctx, s, &req); err != nil {
		return nil, err
	}
	if err := p.checkPrice(ctx, s, req); err != nil {
		return nil, err
	}
	if err := p.fits(s, req); err != nil {
		return nil, err
	}
	if err := p.look(ctx, s); err != nil {
		return nil, err
	}
	leases, err := p.attempt(ctx, s, req, nil, 0)
	var short *errShort
	if !errors.As(err, &short) {
		return leases, err
	}
	return p.queue(ctx, s, req, short, start)
}

// look does the work that is due for a source before it is used, at most once a second in a
// long-lived process.
func (p *Pool) look(ctx context.Context, s *source) error {
	p.mu.Lock()
	recent := time.Since(s.looked) < time.Second
	s.looked = time.Now()
	p.mu.Unlock()
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
func (p *Pool) check(s *source, req *compute.Request) error {
	bad := func(format string, args ...any) error {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case req.Owner == "" || ownsAsPool(req.Owner):
		return bad("a lease needs an owner")
	case req.Count < 0:
		return bad("%d instances cannot be asked for", req.Count)
	case req.Name != "" && req.Count != 1:
		return bad("a name is for one lease, not for %d", req.Count)
	case isID(req.Name):
		return bad("a name that looks like a lease's id, such as %q, could be taken for another lease", req.Name)
	case compute.Amount(sizeOf(*req)).Check() != nil:
		return bad("%v", compute.Amount(sizeOf(*req)).Check())
	case s.maxTTL() > 0 && req.TTL > s.maxTTL():
		return bad("a ttl of %v was asked for, and its max-ttl is %v", req.TTL, s.maxTTL())
	}
	if req.TTL == 0 {
		req.TTL = s.TTL
	}
	if most := s.maxTTL(); req.TTL <= 0 || most > 0 && req.TTL > most {
		req.TTL = most // 0: none
	}
	if req.Idle == 0 {
		req.Idle = cmp.Or(s.LeaseIdle, p.opt.LeaseIdle)
	}
	req.Idle = max(0, req.Idle)
	return nil
}

// attempt takes what a request needs, in one transaction, and then makes what is missing. The next
// attempt passes over a pool's child that cannot make its part. waiter is the request's place in
// the queue, which it leaves in the same transaction.
func (p *Pool) attempt(
	ctx context.Context, s *source, req compute.Request, waiter *compute.Waiter, waited time.Duration,
) ([]compute.Lease, error) {
	skip, err := p.barred(s, req)
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
		if e := small(append(failures, err)...); err != nil && e != nil {
			return nil, e // waiting does not make it larger
		}
		if err != nil {
			return nil, errors.Join(append(failures, err)...)
		}
		if waiter != nil {
			p.desk.leave(seatKey(waiter.ID))
			waiter.ID, waiter = 0, nil // its turn has come
		}
		if !unfinished(units) {
			p.desk.leave(keysOf(units)...)
			return leases(units), nil
		}
		for _, u := range units {
			_ = u.each(func(u *unit) error { u.until = until; return nil })
		}
		again, err := p.finish(ctx, units, req, waited, skip)
		p.desk.leave(keysOf(units)...)
		switch {
		case err == nil:
			return leases(units), nil
		case !again && small(err) != nil:
			return nil, small(err)
		case !again && ctx.Err() == nil && (errors.Is(err, compute.ErrNoCapacity) || isAway(err) != nil):
			// full now, but maybe not later
			return nil, &errShort{source: s, text: compute.Said(errors.Join(append(failures, err)...))}
		case !again || ctx.Err() != nil:
			return nil, errors.Join(append(failures, err)...)
		case len(skip)-barred > len(failures): // another child may do
			failures = append(failures, err)
		}
	}
}

func leases(units []*unit) []compute.Lease {
	out := make([]compute.Lease, 0, len(units))
	for _, u := range units {
		out = append(out, *u.lease)
	}
	slices.SortFunc(out, func(a, b compute.Lease) int { return cmp.Compare(a.Instance, b.Instance) })
	return out
}

// unfinished reports whether something must be made or checked before the units may be given to
// their user.
func unfinished(units []*unit) bool {
	return slices.ContainsFunc(units, func(u *unit) bool { return u.fresh || u.look })
}

// looksAt reports whether hooks run when instances of a source are handed out, and whether cached
// ones can be checked before, and by hooks.
func (p *Pool) looksAt(s *source) (hooked, checked, byHooks bool) {
	for _, c := range s.all() {
		p.mu.Lock()
		o := p.providers[c.key]
		p.mu.Unlock()
		hooked = hooked || c.has("acquire")
		byHooks = byHooks || c.has("check")
		checked = checked || byHooks || o != nil && o.checks
	}
	return hooked, checked, byHooks
}

// grab is the transaction of an acquire.
func (p *Pool) grab(ctx context.Context, s *source, req compute.Request, waiter *compute.Waiter, skip map[string]bool) ([]*unit, error) {
	var units []*unit
	var taken []string
	var worn []compute.ID
	hooked, checked, byHooks := p.looksAt(s)
	err := p.store.Update(compute.Growing(ctx), func(tx store.Tx) error {
		p.desk.leave(taken...)
		units, taken, worn = nil, nil, nil
		now := time.Now()
		d := &draw{
			p: p, tx: tx, now: now, ended: ctx.Err, skip: skip, cached: req.CachedOnly,
			fresh: req.New || choiceOf(req) != choice{}, least: sizeOf(req), most: req.MaxPrice, choice: choiceOf(req),
			asks: wantOf(sizeOf(req), choiceOf(req), req.MaxPrice), hooked: hooked, checked: checked, byHooks: byHooks,
			records: map[*source]*store.SourceRecord{},
		}
		defer func() { worn = d.worn }()
		r, err := d.record(s)
		if err != nil {
			return err
		}
		if d.queued = waiter != nil; d.queued {
			d.waited = max(time.Microsecond, now.Sub(waiter.Since))
		}
		if err := d.turn(s, req, waiter); err != nil {
			return err
		}
		// leases of a request have the same numbers in both transactions where some instances are
		// made first
		nth := 0
		lend := func(i *compute.Instance) *compute.Lease {
			nth++
			l := p.newLease(req, i, now)
			l.Nth = nth
			return l
		}
		if s.Share {
			units, err = d.seats(s, req, lend)
		} else {
			units, err = d.whole(s, r, req, lend)
		}
		if err != nil {
			return err
		}
		if len(units) < req.Count && !req.CachedOnly {
			return d.short(s, req.Count, len(units))
		}
		if err := d.settleTurn(req, units); err != nil {
			return err
		}
		if waiter != nil {
			if err := tx.Leave(waiter.ID); err != nil {
				return err
			}
		}
		taken = keysOf(units)
		p.desk.take(taken...)
		if d.pending && !unfinished(units) {
			if err := tell(tx, units); err != nil {
				return err
			}
		}
		if s.Share {
			return p.reroom(tx, units)
		}
		return nil
	})
	if err != nil {
		p.desk.leave(taken...)
		if short := (*errShort)(nil); len(worn) > 0 && errors.As(err, &short) {
			short.worn = true
			err = errors.Join(err, p.retire(ctx, worn))
		}
		return nil, err
	}
	p.step("acquire:recorded")
	return units, nil
}

// whole takes instances for leases that have all of one.
func (d *draw) whole(
	s *source, r *store.SourceRecord, req compute.Request, lend func(*compute.Instance) *compute.Lease,
) ([]*unit, error) {
	if n, err := d.available(s); err != nil {
		return nil, err
	} else if n < req.Count {
		return nil, d.short(s, req.Count, n)
	}
	d.pending = (d.fresh || r.Counts.Ready < req.Count) && !req.CachedOnly
	return d.take(s, req.Count, req.CachedOnly, lend)
}

// tell marks leases as given for good.
func tell(tx store.Tx, units []*unit) error {
	for _, u := range units {
		err := u.each(func(u *unit) error {
			if u.lease.Worker == 0 {
				return nil
			}
			u.lease.Worker = 0
			return tx.SaveLease(u.lease)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Pool) newLease(req compute.Request, i *compute.Instance, now time.Time) *compute.Lease {
	l := &compute.Lease{ID: p.opt.NewID(), Name: req.Name, Instance: i.ID, Source: i.Source, Owner: req.Owner,
		Project: req.Project, Purpose: req.Purpose, Labels: req.Labels,
		Given: now, Used: now, TTL: req.TTL, Idle: req.Idle, For: req.For}
	if l.For.PID > 0 {
		l.For.Host = p.opt.Host
	}
	if l.TTL > 0 {
		l.Expires = now.Add(l.TTL)
	}
	return l
}

// short returns why a source cannot give so many now.
func (d *draw) short(s *source, asked, can int) error {
	if err := d.outgrown(s); err != nil {
		return err
	}
	r, err := d.record(s)
	if err != nil {
		return err
	}
	e := &errShort{source: s}
	c := r.Counts
	switch m := d.p.maximum(s); {
	case s.Type == poolType:
		e.text = fmt.Sprintf("its sources can give %d now, and %d was asked for", can, asked)
	case m > 0:
		e.text = fmt.Sprintf("%d in use, %d cached and %d on the way out of at most %d, and %d asked for",
			c.InUse(), c.Cached(), c.Present()-c.InUse()-c.Cached(), m, asked)
		if c.Held > 0 {
			e.text += fmt.Sprintf("; %d held aside", c.Held)
		}
	default:
		e.text = fmt.Sprintf("%d can be given now, and %d asked for", can, asked)
	}
	switch {
	case d.least != (size{}) && d.small == 1:
		e.text += "; one that stands ready is too small"
	case d.least != (size{}) && d.small > 1:
		e.text += fmt.Sprintf("; %d that stand ready are too small", d.small)
	case d.choice != (choice{}) && c.Ready > 0 && s.Type != poolType:
		e.text += "; what stands ready is made otherwise"
	}
	seen := map[string]bool{}
	for _, cause := range d.paused {
		if !seen[cause.Error()] {
			seen[cause.Error()] = true
			e.causes = append(e.causes, cause)
		}
	}
	// A source that is paused after failures is not short of room: waiting in the queue is not what
	// helps.
	if s.Type != poolType && !away(r, d.now) && len(e.causes) > 0 && !errors.Is(e.causes[0], compute.ErrNoCapacity) &&
		(d.p.maximum(s) == 0 || c.Present() < d.p.maximum(s)) {
		return e.causes[0]
	}
	return e
}

// fits returns an error if a request asks for more than a source can ever have.
func (p *Pool) fits(s *source, req compute.Request) error {
	if m := p.maximum(s); m > 0 && req.Count > m && !req.CachedOnly && !s.Share {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity,
			Err:  fmt.Errorf("%d asked for, and its maximum is %d", req.Count, m),
			Hint: "ask for fewer, or raise `maximum` in its source.conf"}
	}
	return nil
}
