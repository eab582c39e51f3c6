package allocate

import (
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

// Request is a request that is to get instances now.
type Request struct {
	compute.Request
	Source  *Source
	Waiter  *inventory.Waiter // its place in the queue; nil: it has none yet
	Skip    map[string]bool   // sources that make nothing for it
	Hooked  bool              // hooks run at each hand-out
	Checked bool              // instances not found fit for some time are checked
	ByHooks bool              // they are checked by hooks, too
	Ended   func() error      // why it has ended, or nil; a nil func: it has not
}

// made is what instances are made for; nil: the cache.
func (r *Request) made() *compute.Request {
	if r.Source == nil {
		return nil
	}
	return &r.Request
}

// Result is what a decision gives, and what it changes. Nothing of it is written yet.
type Result struct {
	Grants  []*Grant
	Changes []Change
	Pending bool // the leases are not told yet
}

// Acquire decides what a request gets. It returns *ShortError if that is nothing for now, and
// ErrNotQueued if it is not in the queue any more.
func Acquire(v *View, req Request) (Result, error) {
	d := newAllocation(v)
	d.req, d.asks = req, DemandOf(req.Request)
	d.fresh = req.New || d.asks.Chosen()
	got, err := d.acquire()
	if short := (*ShortError)(nil); errors.As(err, &short) {
		short.Expired = d.expired
	}
	return got, err
}

// acquire admits the request and plans a grant for each instance asked for. It fails when there
// are too few, unless the request takes idle ones only.
func (d *allocation) acquire() (Result, error) {
	req, s := d.req, d.req.Source
	r, err := d.known.record(s)
	if err != nil {
		return Result{}, err
	}
	if d.queued = req.Waiter != nil; d.queued {
		d.waited = max(time.Microsecond, d.view.Now.Sub(req.Waiter.Since))
	}
	if err := d.admit(s, req.Request, req.Waiter); err != nil {
		return Result{}, err
	}
	if err := d.nameTaken(); err != nil {
		return Result{}, err
	}
	// leases of a request have the same numbers in both transactions where some instances are
	// made first
	nth := 0
	lend := func(i *compute.Instance) *compute.Lease {
		nth++
		l := d.view.newLease(req.Request, i)
		l.Nth = nth
		return l
	}
	var units []*Grant
	if s.Share {
		units, err = d.parts(s, req.Request, lend)
	} else {
		units, err = d.whole(s, r, req.Request, lend)
	}
	if err != nil {
		return Result{}, err
	}
	if len(units) < req.Count && !req.CachedOnly {
		return Result{}, d.short(s, req.Count, len(units))
	}
	if err := d.checkQuota(req.Request, units); err != nil {
		return Result{}, err
	}
	if req.Waiter != nil {
		d.plan.leave(req.Waiter)
	}
	return Result{units, d.plan.changes, d.pending}, nil
}

// nameTaken returns an error if a living lease has the name that the request wants for its own: it
// shall not have a computer made in vain.
func (d *allocation) nameTaken() error {
	return store.FreeName(d.plan, d.req.Name, d.req.Project)
}

// Fill decides what n more instances of a source are made of for its cache, as far as there is
// room.
func Fill(v *View, s *Source, n int) (Result, error) {
	d := newAllocation(v)
	d.pending, d.ahead = true, true
	r, err := d.known.record(s)
	if err != nil {
		return Result{}, err
	}
	m, err := Demands(v)
	if err != nil {
		return Result{}, err
	}
	d.claims.reserved = m.reserved
	if can, err := d.available(s); err != nil {
		return Result{}, err
	} else if can -= r.Counts.Ready; can < n {
		if can <= 0 {
			return Result{}, d.short(s, n, 0)
		}
		n = can // as many as there is room for
	}
	nobody := func(i *compute.Instance) *compute.Lease {
		return &compute.Lease{ID: "cache:" + v.NewID(), Instance: i.ID, Source: i.Source, Purpose: "fill"}
	}
	var units []*Grant
	if s.Type == PoolType {
		units, err = d.fromChildren(s, n, nobody)
	} else {
		units, err = d.fromNothing(s, r, n, nobody)
	}
	return Result{units, d.plan.changes, true}, err
}

// whole takes instances for leases that have all of one.
func (d *allocation) whole(
	s *Source, r *store.SourceRecord, req compute.Request, lend func(*compute.Instance) *compute.Lease,
) ([]*Grant, error) {
	if n, err := d.available(s); err != nil {
		return nil, err
	} else if n < req.Count {
		return nil, d.short(s, req.Count, n)
	}
	d.pending = (d.fresh || r.Counts.Ready < req.Count) && !req.CachedOnly
	return d.take(s, req.Count, req.CachedOnly, lend)
}

// newLease returns a lease of i that begins now. Without a TTL it never expires by time.
func (v *View) newLease(req compute.Request, i *compute.Instance) *compute.Lease {
	l := &compute.Lease{ID: v.NewID(), Name: req.Name, Instance: i.ID, Source: i.Source, Owner: req.Owner,
		Project: req.Project, Purpose: req.Purpose, Labels: req.Labels,
		Given: v.Now, Used: v.Now, TTL: req.TTL, Idle: req.Idle, For: req.For}
	if l.For.PID > 0 {
		l.For.Host = v.Host
	}
	if l.TTL > 0 {
		l.Expires = v.Now.Add(l.TTL)
	}
	return l
}
