package pool

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/store"
)

// Status returns the status of each configured source, and of each older definition that has
// instances, by name.
func (p *Pool) Status(ctx context.Context) ([]inventory.SourceStatus, error) {
	var recs []*store.SourceRecord
	var vain map[int64]*inventory.Unready
	waiting, cold := map[string]int{}, map[int64]int{}
	err := p.core.Store.View(ctx, func(tx store.Tx) (err error) {
		clear(waiting)
		clear(cold)
		ws, err := tx.Waiters()
		if err != nil {
			return err
		}
		for _, w := range ws {
			if p.core.Waits(w) {
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
			if s := p.core.Configured(r); s == nil || s.Cold == 0 || r.Counts.Ready == 0 {
				continue // none of its instances is ever stopped
			}
			is, err := tx.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready}})
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
	var out []inventory.SourceStatus
	for _, r := range recs {
		if s := p.core.Configured(r); s != nil {
			byName[r.Name] = r
			p.core.Mu.Lock()
			p.core.At(s).Key = r.Key
			p.core.Mu.Unlock()
		} else if r.Counts != (inventory.Counts{}) {
			out = append(out, inventory.SourceStatus{Name: r.Name, Type: r.Type, Counts: r.Counts, Orphaned: true,
				Health: inventory.Health{Unreachable: r.Unreachable, Backoff: inventory.Backoff{LastError: r.Why()}}})
		}
	}
	for _, s := range p.core.Ordered {
		st := inventory.SourceStatus{Name: s.Name, Type: s.Type, Reserve: s.Reserve, Spare: s.Spare,
			Concurrency: s.Concurrency, Health: inventory.Health{Broken: s.Err},
			Children: s.Children, Waiting: waiting[s.Name], TTL: s.TTL, LeaseIdle: s.LeaseIdle, Image: s.Image}
		if r := byName[s.Name]; r != nil {
			st.Cold, st.Unready = cold[r.Key], vain[r.Key]
			st.Counts = r.Counts
			r.Tell(&st.Health)
		}
		if s.Err == nil {
			st.Broken = p.providers.Learn(ctx, s)
			st.Maximum, st.Fixed = p.records.Maximum(s), p.records.View(nil).Fixed(s)
			st.Wanted = p.records.Wanted(s, byName[s.Name], st.Counts.InUse())
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
	slices.SortFunc(out, func(a, b inventory.SourceStatus) int {
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
func (p *Pool) Instances(ctx context.Context, q inventory.InstanceQuery) (out []compute.Instance, err error) {
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		is, err := tx.Instances(q)
		out = state.Copies(is)
		return err
	})
	return out, err
}

// Leases returns the leases that a query selects.
func (p *Pool) Leases(ctx context.Context, q inventory.LeaseQuery) (out []compute.Lease, err error) {
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		ls, err := tx.Leases(q)
		out = state.Copies(ls)
		return err
	})
	return out, err
}

// Events returns the events that a query selects.
func (p *Pool) Events(ctx context.Context, q inventory.EventQuery) (out []compute.Event, err error) {
	return p.core.Events(ctx, q)
}

// testTTL is how long a test's lease lasts if no process sees that the testing process has died: on
// another machine.
const testTTL = time.Hour

// Test makes an instance of a source, runs `true` on it and discards it, and times each step. It
// ignores the breaker.
func (p *Pool) Test(ctx context.Context, name string) (inventory.TestResult, error) {
	res := inventory.TestResult{Source: name}
	s, err := p.core.Find(name)
	if err != nil {
		return res, err
	}
	if err := p.templates.Prepare(ctx, s); err != nil {
		return res, err
	}
	err = p.core.Store.Update(ctx, func(tx store.Tx) error {
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
	if err := p.providers.Allowed(ctx, s); err != nil {
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
	rest, cancel := state.CleanupContext(ctx)
	defer cancel()
	if leaf, e := p.Leaf(rest, res.Instance); e == nil {
		res.Leaf = leaf.ID
	}
	err = errors.Join(err, p.Release(rest, who, compute.ReleaseOptions{Discard: true}, res.Instance))
	res.Destroy = time.Since(start)
	return res, err
}

// Provider returns a configured source's provider, opened.
func (p *Pool) Provider(ctx context.Context, name string) (compute.Provider, error) {
	o, err := p.providers.OpenedOf(ctx, name)
	if err != nil {
		return nil, err
	}
	return o.Provider, nil
}

// unready returns, by record, the sources with no instance ready since what they make was changed.
// It says why: an instance failed, or none can be made.
func unready(tx store.Tx) (map[int64]*inventory.Unready, error) {
	all, err := tx.Notes(sources.MakeNotes)
	if err != nil {
		return nil, err
	}
	out := map[int64]*inventory.Unready{}
	for name, text := range all {
		key, err := strconv.ParseInt(strings.TrimPrefix(name, sources.MakeNotes), 10, 64)
		var m state.MakeNote
		if err == nil {
			err = json.Unmarshal([]byte(text), &m)
		}
		if err != nil {
			return nil, fmt.Errorf("note %s: %w", name, err)
		}
		if m.First == 0 && (m.Failed > 0 || m.Why != "") {
			out[key] = &inventory.Unready{Since: m.Since, Changed: m.Changed, Failures: m.Failed, Why: m.Why}
		}
	}
	return out, nil
}

// WatchHealth asks the providers of all sources what has become of their instances. It returns
// when to ask again; zero: never, as far as is known. It is for a process that calls Reconcile
// with Apart. with.Done is called when something has changed, so that Reconcile may have more to
// do. news is called when a provider has something new. They must not block. WatchHealth waits
// for no provider: what it began ends with ctx.
func (p *Pool) WatchHealth(ctx context.Context, with ReconcileOptions, news func()) (next time.Time, err error) {
	l := &p.core.Inflight.Workers
	l.Mu.Lock()
	l.Done = news
	l.Mu.Unlock()
	if with.Failed == nil {
		with.Failed = func(err error) { p.core.Log.Warn("what has become of instances", "err", err) }
	}
	return p.health.OverseeAll(ctx, l, with, news)
}

// hasEnded marks an error of connecting to a computer that was ready once, if it says that the
// computer is gone. Machines that stay do not end: one that is not found may only be missing in the
// configuration.
func hasEnded(o *sources.Opened, err error) error {
	if o == nil || o.Stays || errors.Is(err, compute.ErrEnded) || !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	out := &compute.Error{Kind: compute.ErrNotFound, Err: compute.Ended(err)}
	if e, ok := errors.AsType[*compute.Error](err); ok {
		out.Op, out.ID, out.Hint, out.Err = e.Op, e.ID, e.Hint, compute.Ended(cmp.Or(e.Err, error(compute.ErrNotFound)))
	}
	return out
}
