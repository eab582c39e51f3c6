package pooltest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

// finish ends all processes, has a last one do what is due until nothing is, and looks at what is
// left.
func finish(w *world) {
	w.calm = true
	for _, p := range w.procs {
		if p != nil {
			p.kill()
		}
	}
	w.sched.sweep()
	p := w.start(-1)
	over := false
	go func() {
		w.sched.yield(p, "tidying begins")
		tidy(w, p, func(n int) bool { return n < 200 })
		if !w.sched.failed() {
			again(w, p)
		}
		over = true
	}()
	w.sched.run(24*time.Hour, func() bool { return over })
	if !w.sched.failed() {
		last(w, p)
	}
	p.kill()
	w.sched.sweep()
}

// tidy does what is due until nothing is.
func tidy(w *world, p *process, more func(n int) bool) {
	ctx := context.Background()
	for n := 0; more(n); n++ {
		next, err := p.pool.RunDue(ctx)
		w.judge(err)
		if err != nil && !errors.Is(err, compute.ErrUnavailable) {
			w.sched.fail("tidying: %v", err)
		}
		if next.IsZero() {
			return
		}
		w.sleep(p, max(time.Millisecond, time.Until(next)))
	}
	w.sched.fail("tidying does not end")
}

// again shows that the world is in order: each source gives, and all can be given back and
// discarded.
func again(w *world, p *process) {
	ctx := context.Background()
	for _, i := range w.insts {
		if i.State != compute.Ready && i.State != compute.Held && !(i.State == compute.Leased && pooled(w, i.ID)) {
			w.sched.fail("%s is left %s", i.ID, i.State)
		}
	}
	w.clouds(true)
	who := compute.Who{Owner: "last"}
	for _, s := range w.sources {
		if w.sched.failed() {
			return
		}
		if w.gone(s) {
			continue
		}
		w.sleep(p, 20*time.Minute) // whatever was paused
		ls, err := p.pool.Acquire(ctx, compute.Request{Source: s.Name, Count: 1, Owner: "last", TTL: -1, Purpose: "acquire last"})
		if err != nil {
			if !full(w, s) {
				w.sched.fail("in the end %s gives nothing: %v", s.Name, err)
			}
			continue
		}
		if err := p.pool.Release(ctx, who, compute.ReleaseOptions{}, ls[0].Instance); err != nil {
			w.sched.fail("in the end %s cannot be released: %v", ls[0].Instance, err)
		}
	}
	for range 4 { // pools first
		ids := keys(w.insts)
		slices.Reverse(ids)
		for _, id := range ids {
			if i := w.insts[id]; i != nil && !pooled(w, id) {
				if err := p.pool.Release(ctx, who, compute.ReleaseOptions{Discard: true}, id); err != nil {
					w.sched.fail("in the end %s cannot be discarded: %v", id, err)
				}
			}
		}
	}
	tidy(w, p, func(n int) bool { return n < 200 })
	for id, i := range w.insts {
		w.sched.fail("in the end %s is %s still", id, i.State)
	}
}

// pooled tells whether a pool's instance stands before this one.
func pooled(w *world, id compute.ID) bool {
	for _, i := range w.insts {
		if i.Child == id {
			return true
		}
	}
	return false
}

// full tells whether what a source could give is kept aside, or in use by a pool.
func full(w *world, s *simSource) bool {
	for _, i := range w.insts {
		if i.State == compute.Held || pooled(w, i.ID) {
			return true
		}
	}
	return false
}

// last compares the store with the ledger.
func last(w *world, p *process) {
	w.clouds(true)
	compare(w, p)
}

// compare looks whether the store says what it was told, and counts it anew.
func compare(w *world, p *process) {
	if w.bend.forgets() {
		return
	}
	err := p.store.Store.View(context.Background(), func(tx store.Tx) error {
		is, err := tx.Instances(inventory.InstanceQuery{})
		if err != nil {
			return err
		}
		counts := map[int64]map[compute.State]int{}
		for _, i := range is {
			if counts[i.SourceKey] == nil {
				counts[i.SourceKey] = map[compute.State]int{}
			}
			counts[i.SourceKey][i.State]++
			if k := w.insts[i.ID]; k == nil || k.State != i.State || k.Generation != i.Generation ||
				k.Worker != i.Worker || k.Uses != i.Uses {
				w.sched.fail("the store says of %s %+v, and was told %+v", i.ID, i, k)
			}
		}
		if len(is) != len(w.insts) {
			w.sched.fail("the store has %d instances, and was told of %d", len(is), len(w.insts))
		}
		ls, err := tx.Leases(inventory.LeaseQuery{})
		if err != nil {
			return err
		}
		for _, l := range ls {
			if k := w.leases[l.ID]; k == nil || k.Worker != l.Worker || !k.Expires.Equal(l.Expires) || !k.Used.Equal(l.Used) {
				w.sched.fail("the store says of lease %s %+v, and was told %+v", l.ID, l, k)
			}
		}
		if len(ls) != len(w.leases) {
			w.sched.fail("the store has %d leases, and was told of %d", len(ls), len(w.leases))
		}
		recs, err := tx.Sources("")
		if err != nil {
			return err
		}
		for _, r := range recs {
			n, c := counts[r.Key], r.Counts
			if c != (inventory.Counts{Creating: n[compute.Creating], SettingUp: n[compute.SettingUp],
				Ready: n[compute.Ready], Leased: n[compute.Leased],
				Cleaning: n[compute.Cleaning], Failed: n[compute.Failed], Discarding: n[compute.Discarding], Held: n[compute.Held]}) {
				w.sched.fail("%s counts %+v, and has %v", r.Name, c, n)
			}
		}
		return nil
	})
	if err != nil {
		w.sched.fail("%v", err)
	}
}
