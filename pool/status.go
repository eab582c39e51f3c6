package pool

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// Status returns the status of each configured source, and of each older definition that has
// instances, by name.
func (p *Pool) Status(ctx context.Context) ([]compute.SourceStatus, error) {
	var recs []*store.SourceRecord
	var vain map[int64]*compute.Unready
	waiting, cold := map[string]int{}, map[int64]int{}
	err := p.core.store.View(ctx, func(tx store.Tx) (err error) {
		clear(waiting)
		clear(cold)
		ws, err := tx.Waiters()
		if err != nil {
			return err
		}
		for _, w := range ws {
			if p.core.waits(w) {
				waiting[w.Source]++
			}
		}
		if recs, err = tx.Sources(""); err != nil {
			return err
		}
		if vain, err = unready(tx); err != nil {
			return err
		}
		for _, r := range recs {
			if s := p.core.configured(r); s == nil || s.Cold == 0 || r.Counts.Ready == 0 {
				continue // none of its instances is ever stopped
			}
			is, err := tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready}})
			if err != nil {
				return err
			}
			for _, i := range is {
				if i.Cold {
					cold[r.Key]++
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	byName := map[string]*store.SourceRecord{}
	var out []compute.SourceStatus
	for _, r := range recs {
		if s := p.core.configured(r); s != nil {
			byName[r.Name] = r
			p.core.mu.Lock()
			p.core.at(s).key = r.Key
			p.core.mu.Unlock()
		} else if r.Counts != (compute.Counts{}) {
			out = append(out, compute.SourceStatus{Name: r.Name, Type: r.Type, Counts: r.Counts, Orphaned: true,
				Health: compute.Health{Unreachable: r.Unreachable, Backoff: compute.Backoff{LastError: r.Why()}}})
		}
	}
	for _, s := range p.core.ordered {
		st := compute.SourceStatus{Name: s.Name, Type: s.Type, Reserve: s.Reserve, Spare: s.Spare,
			Concurrency: s.Concurrency, Health: compute.Health{Broken: s.Err},
			Children: s.Children, Waiting: waiting[s.Name], TTL: s.TTL, LeaseIdle: s.LeaseIdle, Image: s.Image}
		if r := byName[s.Name]; r != nil {
			st.Cold, st.Unready = cold[r.Key], vain[r.Key]
			st.Counts = r.Counts
			r.Tell(&st.Health)
		}
		if s.Err == nil {
			st.Broken = p.providers.learn(ctx, s)
			st.Maximum, st.Fixed = p.records.maximum(s), p.records.view(nil).Fixed(s)
			st.Wanted = p.records.wanted(s, byName[s.Name], st.Counts.InUse())
			if st.Maximum > 0 {
				n := max(0, st.Maximum-st.Counts.InUse())
				st.Available = &n
			}
			if r := byName[s.Name]; r != nil && allocate.UnreachableNow(r, time.Now()) {
				st.Available = new(int)
			}
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b compute.SourceStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(rank(a.Orphaned), rank(b.Orphaned)))
	})
	return out, nil
}

func rank(later bool) int {
	if later {
		return 1
	}
	return 0
}

// Instances returns the instances that a query selects.
func (p *Pool) Instances(ctx context.Context, q compute.InstanceQuery) (out []compute.Instance, err error) {
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		is, err := tx.Instances(q)
		out = values(is)
		return err
	})
	return out, err
}

// Leases returns the leases that a query selects.
func (p *Pool) Leases(ctx context.Context, q compute.LeaseQuery) (out []compute.Lease, err error) {
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		ls, err := tx.Leases(q)
		out = values(ls)
		return err
	})
	return out, err
}

// Events returns the events that a query selects.
func (p *Pool) Events(ctx context.Context, q compute.EventQuery) (out []compute.Event, err error) {
	return p.core.events(ctx, q)
}

// events is Events.
func (p *core) events(ctx context.Context, q compute.EventQuery) (out []compute.Event, err error) {
	err = p.store.View(ctx, func(tx store.Tx) error {
		es, err := tx.Events(q)
		out = values(es)
		return err
	})
	return out, err
}

func values[T any](in []*T) []T {
	out := make([]T, len(in))
	for n, v := range in {
		out[n] = *v
	}
	return out
}

// testTTL is how long a test's lease lasts if no process sees that the testing process has died: on
// another machine.
const testTTL = time.Hour

// Test makes an instance of a source, runs `true` on it and discards it, and times each step. It
// ignores the breaker.
func (p *Pool) Test(ctx context.Context, name string) (compute.TestResult, error) {
	res := compute.TestResult{Source: name}
	s, err := p.core.find(name)
	if err != nil {
		return res, err
	}
	if err := p.templates.prepare(ctx, s); err != nil {
		return res, err
	}
	err = p.core.store.Update(ctx, func(tx store.Tx) error {
		rec, err := tx.Source(s.Name, s.Digest)
		if err != nil || rec.Paused.IsZero() {
			return err
		}
		rec.Paused = time.Time{}
		return tx.SaveSource(rec)
	})
	if err != nil {
		return res, err
	}
	if err := p.providers.allowed(ctx, s); err != nil {
		return res, err
	}
	owner := "hostler source test"
	start := time.Now()
	req := compute.Request{Source: name, Count: 1, New: true, Owner: owner, Purpose: "test of the source", TTL: testTTL}
	if most := s.LongestTTL(); most > 0 {
		req.TTL = min(req.TTL, most)
	}
	// if this process is killed it leaves nothing: no other process knows of the lease
	if req.For, err = proc.Live(os.Getpid()); err != nil {
		return res, err
	}
	ls, err := p.Acquire(ctx, req)
	if err != nil {
		return res, err
	}
	res.Instance, res.Create = ls[0].Instance, time.Since(start)
	who := compute.Who{Owner: owner}
	start = time.Now()
	c, err := p.Connect(ctx, who, res.Instance)
	res.Connect = time.Since(start)
	if err == nil {
		start = time.Now()
		var exit compute.Exit
		if exit, err = c.Run(ctx, &compute.Command{Args: []string{"true"}}); err == nil && exit.Status() != 0 {
			err = &compute.Error{ID: res.Instance, Kind: compute.ErrFailed, Err: errors.New("`true` failed on it")}
		}
		res.Run = time.Since(start)
		err = errors.Join(err, c.Close())
	}
	start = time.Now()
	rest, cancel := cleanupContext(ctx)
	defer cancel()
	if leaf, e := p.Leaf(rest, res.Instance); e == nil {
		res.Leaf = leaf.ID
	}
	err = errors.Join(err, p.Release(rest, who, compute.ReleaseOptions{Discard: true}, res.Instance))
	res.Destroy = time.Since(start)
	return res, err
}

// allowed returns what a source's provider is not permitted to do, if the provider can tell: all at
// once, and not only the first failure.
func (p *providers) allowed(ctx context.Context, s *Source) error {
	if s.Type == allocate.PoolType {
		return nil
	}
	provider, err := p.providerOf(ctx, s.Name)
	if err != nil {
		return nil // the next acquire reports it
	}
	if prober, ok := compute.As[compute.Prober](provider); ok {
		if _, err := prober.Probe(ctx, compute.Spec{Source: s.Name, Image: s.Image, Flavor: s.Flavor}); errors.Is(err, compute.ErrDenied) {
			return err
		}
	}
	return nil
}

// Provider returns a configured source's provider, opened.
func (p *Pool) Provider(ctx context.Context, name string) (compute.Provider, error) {
	return p.providers.providerOf(ctx, name)
}

// providerOf is Provider.
func (p *providers) providerOf(ctx context.Context, name string) (compute.Provider, error) {
	s, err := p.core.find(name)
	if err != nil {
		return nil, err
	}
	rec, o, err := p.record(ctx, s)
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = p.open(ctx, rec)
	}
	return o.provider, o.err
}
