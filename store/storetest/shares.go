package storetest

import (
	"fmt"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

func part(id string, of compute.ID, cores float64) *compute.Lease {
	return &compute.Lease{
		ID: id, Instance: of, Owner: "ann", Given: at(1),
		Share: &compute.Resources{Cores: cores, Memory: 1 << 40, Disk: 3, GPUs: 2},
	}
}

// shares: several leases have parts of an instance. None of them has all of it, and no other lease
// can have that beside them.
func shares(t *testing.T, r *rig) {
	none := part("c", "i-1", 0)
	*none.Share = compute.Resources{}
	update(t, r, func(tx store.Tx) error {
		for _, l := range []*compute.Lease{
			part("a", "i-1", 0.1), part("b", "i-1", 2), none, part("d", "i-2", 1), {ID: "whole", Instance: "i-3"},
		} {
			if err := tx.InsertLease(l); err != nil {
				return err
			}
		}
		_, err := tx.LeaseOf("i-1")
		is(t, "the lease of all in the same transaction", err, compute.ErrNotFound)
		return nil
	})
	of := func(id compute.ID, ended bool) (ids string) {
		t.Helper()
		for _, s := range []Handle{r.Handle, r.open()} {
			for _, look := range []func(testing.TB, Handle, func(store.Tx) error){update, view} {
				look(t, s, func(tx store.Tx) error {
					ls, err := tx.Leases(inventory.LeaseQuery{Instance: id, Ended: ended})
					now := leaseIDs(ls)
					if ids != "" && ids != now {
						t.Errorf("%q here, %q there", ids, now)
					}
					ids = now
					return err
				})
			}
		}
		return ids
	}
	if got := of("i-1", false); got != "a b c" {
		t.Errorf("leases of parts are %q", got)
	}
	for _, want := range []*compute.Lease{part("a", "i-1", 0.1), none} {
		view(t, r, func(tx store.Tx) error {
			got, err := tx.Lease(want.ID)
			if err == nil {
				want.Row = got.Row
				same(t, "a part", got, want)
			}
			return err
		})
	}
	for what, l := range map[string]*compute.Lease{
		"a part of what is all somebody's": part("e", "i-3", 1), "all of it twice": {ID: "f", Instance: "i-3"},
	} {
		err := r.Update(t.Context(), func(tx store.Tx) error {
			if err := event(tx, "lost"); err != nil {
				return err
			}
			return tx.InsertLease(l)
		})
		is(t, what, err, compute.ErrConflict)
	}
	// One ends, changed by the caller that read it; the others stay. Its end is found as others'
	// are.
	update(t, r, func(tx store.Tx) error {
		l, err := tx.Lease("b")
		if err != nil {
			return err
		}
		l.Ended, l.Why = at(5), "released"
		return tx.SaveLease(l)
	})
	if got := of("i-1", false) + "/" + of("i-1", true); got != "a c/b" {
		t.Errorf("after the end of one: %q", got)
	}
	view(t, r, func(tx store.Tx) error {
		l, err := tx.Lease("b")
		if err == nil && (l.Share == nil || l.Share.Cores != 2 || l.Why != "released") {
			t.Errorf("what ended is %+v", l)
		}
		return err
	})
	// When all have ended one lease may have all of it, and after that parts again.
	update(t, r, func(tx store.Tx) error {
		for _, id := range []string{"a", "c"} {
			l, err := tx.Lease(id)
			if err != nil {
				return err
			}
			l.Ended = at(6)
			if err := tx.SaveLease(l); err != nil {
				return err
			}
		}
		return tx.InsertLease(&compute.Lease{ID: "g", Instance: "i-1"})
	})
	update(t, r, func(tx store.Tx) error {
		l, err := tx.LeaseOf("i-1")
		if err != nil {
			return err
		}
		l.Ended = at(7)
		if err := tx.SaveLease(l); err != nil {
			return err
		}
		return tx.InsertLease(part("h", "i-1", 1))
	})
	if got := of("i-1", false); got != "h" {
		t.Errorf("at the end: %q", got)
	}
}

// rooms: instances are found by their free part, the fullest first.
func rooms(t *testing.T, r *rig) {
	one, two := source(t, r, "one"), source(t, r, "two")
	made := map[compute.ID]*compute.Instance{}
	note := func(tx store.Tx, id compute.ID, free *compute.Resources) error { return tx.SetRoom(made[id], free) }
	update(t, r, func(tx store.Tx) error {
		for n, src := range []*store.SourceRecord{one, one, one, one, two} {
			i := &compute.Instance{
				ID: compute.ID(fmt.Sprintf("%s-%d", src.Name, n)), Source: src.Name, SourceKey: src.Key,
				State: compute.Leased,
			}
			if err := tx.SaveInstance(i); err != nil {
				return err
			}
			made[i.ID] = i
		}
		for id, free := range map[compute.ID]*compute.Resources{"one-0": {Cores: 3, Memory: 10},
			"one-1": {Cores: 0.1, Memory: 50, Disk: 1, GPUs: 1}, "one-2": {Cores: 3, Memory: 5, Disk: 9},
			"one-3": {Cores: 8}, "two-4": {Cores: 1, Memory: 100, Disk: 100, GPUs: 8}} {
			if err := note(tx, id, free); err != nil {
				return err
			}
		}
		got, err := tx.Rooms(one.Key, compute.Resources{}, 0)
		if n := names(got); n != "one-1 one-2 one-0 one-3" {
			t.Errorf("in the same transaction: %q", n)
		}
		return err
	})
	find := func(least compute.Resources, n int, want string) {
		t.Helper()
		for _, s := range []Handle{r.Handle, r.open()} {
			for _, look := range []func(testing.TB, Handle, func(store.Tx) error){update, view} {
				look(t, s, func(tx store.Tx) error {
					got, err := tx.Rooms(one.Key, least, n)
					if names(got) != want {
						t.Errorf("%v: %q, want %q", least, names(got), want)
					}
					return err
				})
			}
		}
	}
	find(compute.Resources{}, 2, "one-1 one-2")
	find(compute.Resources{Cores: 0.1}, 0, "one-1 one-2 one-0 one-3")
	find(compute.Resources{Cores: 0.2}, 0, "one-2 one-0 one-3")
	find(compute.Resources{Cores: 0.2, Memory: 6}, 0, "one-0")
	find(compute.Resources{Disk: 1}, 0, "one-1 one-2")
	find(compute.Resources{GPUs: 1}, 0, "one-1")
	find(compute.Resources{GPUs: 2}, 0, "")
	update(t, r, func(tx store.Tx) error {
		if err := note(tx, "one-3", &compute.Resources{Cores: 7}); err != nil {
			return err
		}
		if err := note(tx, "one-3", &compute.Resources{Cores: 0.05}); err != nil {
			return err
		}
		return note(tx, "one-0", nil)
	})
	find(compute.Resources{}, 0, "one-3 one-1 one-2")
	update(t, r, func(tx store.Tx) error {
		if err := note(tx, "one-0", nil); err != nil { // again
			return err
		}
		return tx.DropInstance(made["one-2"])
	})
	find(compute.Resources{}, 0, "one-3 one-1")
	if err := r.Update(t.Context(), func(tx store.Tx) error {
		if err := note(tx, "one-3", nil); err != nil {
			return err
		}
		return fmt.Errorf("not so")
	}); err == nil {
		t.Error("no error")
	}
	find(compute.Resources{}, 0, "one-3 one-1")
	if err := r.View(t.Context(), func(tx store.Tx) error { return note(tx, "one-1", nil) }); err == nil {
		t.Error("a View wrote")
	}
}
