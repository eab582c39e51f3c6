package storetest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

func fullLease(id string, of compute.ID) *compute.Lease {
	return &compute.Lease{ID: id, Name: "n-" + id, Instance: of, Source: "s", Owner: "ann", Purpose: "p",
		Labels: map[string]string{"k": "v"}, Generation: 1 << 40,
		Given: at(1), Used: at(2), TTL: time.Hour + 1, Idle: time.Minute + 1, Expires: at(3),
		For:    compute.Process{PID: 1 << 22, Start: 1<<64 - 2, Host: "elsewhere"},
		Worker: 1<<52 - 1, Pool: "pool-1", Project: "p-1", Holds: compute.Capacity{Count: 1, Cores: 2.5, Memory: 1 << 40, Cost: 0.125}}
}

// leases puts and gets records with every field set and with none, changes what may change, and
// selects.
func leases(t *testing.T, r *rig) {
	for n, want := range []*compute.Lease{fullLease("l-0", "i-0"), {ID: "l-1", Instance: "i-1"}} {
		update(t, r, func(tx store.Tx) error { return tx.InsertLease(want) })
		check := func() {
			t.Helper()
			for _, s := range []Handle{r.Handle, r.open()} {
				view(t, s, func(tx store.Tx) error {
					got, err := tx.Lease(want.ID)
					if err != nil {
						return err
					}
					same(t, "lease", got, want)
					got, err = tx.LeaseOf(want.Instance)
					if !want.Ended.IsZero() {
						is(t, "the living lease after the end", err, compute.ErrNotFound)
						return nil
					}
					if err == nil {
						same(t, "lease of", got, want)
					}
					return err
				})
			}
		}
		check()
		want.Used, want.TTL, want.Idle, want.Expires, want.Worker = at(20+n), time.Second, 0, at(30), 5
		update(t, r, func(tx store.Tx) error { return tx.SaveLease(want) })
		check()
		want.Used, want.TTL, want.Expires, want.Worker = time.Time{}, 0, time.Time{}, 0
		update(t, r, func(tx store.Tx) error { return tx.SaveLease(want) })
		check()
		want.Ended, want.Why = at(40), "released"
		update(t, r, func(tx store.Tx) error { return tx.SaveLease(want) })
		check()
	}
	// Names are free again, and so are the instances.
	var second int64
	update(t, r, func(tx store.Tx) error {
		for _, l := range []*compute.Lease{{ID: "l-2", Name: "n-l-0", Instance: "i-0", Owner: "ann"},
			{ID: "l-3", Instance: "i-1", Owner: "bob", Project: "p-3"},
			{ID: "l-4", Instance: "i-2", Owner: "bob"}} {
			if err := tx.InsertLease(l); err != nil {
				return err
			}
			if l.ID == "l-3" {
				second = l.Row
			}
		}
		return nil
	})
	for _, c := range []struct {
		q    inventory.LeaseQuery
		want string
	}{
		{inventory.LeaseQuery{}, "l-2 l-3 l-4"},
		{inventory.LeaseQuery{Limit: 1}, "l-2"},
		{inventory.LeaseQuery{Owner: "bob"}, "l-3 l-4"},
		{inventory.LeaseQuery{Owner: "eve"}, ""},
		{inventory.LeaseQuery{Projects: []string{"p-3", "p-4"}}, "l-3"},
		{inventory.LeaseQuery{Projects: []string{""}, Owner: "bob"}, "l-4"},
		{inventory.LeaseQuery{Projects: []string{}}, ""},
		{inventory.LeaseQuery{Name: "n-l-0"}, "l-2"},
		{inventory.LeaseQuery{Instance: "i-1"}, "l-3"},
		{inventory.LeaseQuery{Instance: "i-1", Owner: "ann"}, ""},
		{inventory.LeaseQuery{Instances: []compute.ID{"i-2", "i-0", "i-9"}}, "l-2 l-4"},
		{inventory.LeaseQuery{Instances: []compute.ID{"i-2", "i-0"}, Owner: "bob", Limit: 1}, "l-4"},
		{inventory.LeaseQuery{After: second}, "l-4"},
		{inventory.LeaseQuery{After: second - 1, Limit: 1}, "l-3"},
		{inventory.LeaseQuery{After: second, Limit: 1, Owner: "ann"}, ""},
		{inventory.LeaseQuery{Source: "none", Limit: 1}, ""},
		{inventory.LeaseQuery{Ended: true}, "l-1 l-0"},
		{inventory.LeaseQuery{Ended: true, Limit: 1}, "l-1"},
		{inventory.LeaseQuery{Ended: true, Instance: "i-0"}, "l-0"},
	} {
		view(t, r, func(tx store.Tx) error {
			got, err := tx.Leases(c.q)
			if leaseIDs(got) != c.want {
				t.Errorf("%+v: %q, want %q", c.q, leaseIDs(got), c.want)
			}
			return err
		})
	}
}

func leaseIDs(ls []*compute.Lease) string {
	var out []string
	for _, l := range ls {
		out = append(out, l.ID)
	}
	return strings.Join(out, " ")
}

// leasesDue asks for those that may have to end.
func leasesDue(t *testing.T, r *rig) {
	now := at(0)
	update(t, r, func(tx store.Tx) error {
		for n, l := range []compute.Lease{
			{ID: "never"}, {ID: "past", Expires: now.Add(-time.Second)}, {ID: "now", Expires: now}, {ID: "later", Expires: now.Add(1)},
			{ID: "unused", Used: now.Add(-time.Minute), Idle: time.Minute, Expires: now.Add(time.Hour)},
			{ID: "used", Used: now.Add(1), Idle: time.Minute}, {ID: "bound", For: compute.Process{PID: 7, Start: 1}},
			{ID: "untold", Worker: 9},
			{ID: "over", Expires: now.Add(-time.Hour), Worker: 9, For: compute.Process{PID: 7},
				Ending: compute.Ending{Ended: now.Add(-time.Minute)}},
			{ID: "both", Expires: now.Add(-time.Hour), Worker: 9, For: compute.Process{PID: 7}},
		} {
			l.Instance = compute.ID(fmt.Sprint("i-", n))
			if err := tx.InsertLease(&l); err != nil {
				return err
			}
		}
		return nil
	})
	due := func(at time.Time) (ids string) {
		view(t, r, func(tx store.Tx) error {
			ls, err := tx.Leases(inventory.LeaseQuery{Due: at})
			ids = leaseIDs(ls)
			return err
		})
		return ids
	}
	if got, want := due(now), "past now unused bound untold both"; got != want {
		t.Errorf("due are %q, want %q", got, want)
	}
	if got, want := due(now.Add(2*time.Minute)), "past now later unused used bound untold both"; got != want {
		t.Errorf("due later are %q, want %q", got, want)
	}
	view(t, r, func(tx store.Tx) error {
		ls, err := tx.Leases(inventory.LeaseQuery{Soonest: true})
		if ids := leaseIDs(ls); ids != "bound both" && ids != "untold both" && ids != "both" {
			t.Errorf("the soonest is %q, want both, and one that is bound", ids)
		}
		return err
	})
	// The deadline moves with use.
	update(t, r, func(tx store.Tx) error {
		l, err := tx.Lease("unused")
		if err != nil {
			return err
		}
		l.Used = now
		return tx.SaveLease(l)
	})
	if got, want := due(now), "past now bound untold both"; got != want {
		t.Errorf("after use due are %q, want %q", got, want)
	}
}

// leaseConflicts: a living lease's name is an answer; a second living lease of an instance never
// gets in.
func leaseConflicts(t *testing.T, r *rig) {
	update(t, r, func(tx store.Tx) error {
		return tx.InsertLease(&compute.Lease{ID: "a", Name: "mine", Instance: "i-1", Given: at(1)})
	})
	update(t, r, func(tx store.Tx) error {
		is(t, "the name twice", tx.InsertLease(&compute.Lease{ID: "b", Name: "mine", Instance: "i-2"}), compute.ErrConflict)
		// another project's
		if err := tx.InsertLease(&compute.Lease{ID: "c", Name: "mine", Project: "p", Instance: "i-3"}); err != nil {
			return err
		}
		is(
			t, "the name twice in a project",
			tx.InsertLease(&compute.Lease{ID: "h", Name: "mine", Project: "p", Instance: "i-5"}), compute.ErrConflict,
		)
		if err := tx.InsertLease(&compute.Lease{ID: "i", Instance: "i-6"}); err != nil {
			return err
		}
		return tx.InsertLease(&compute.Lease{ID: "d", Instance: "i-4"}) // no name is no conflict
	})
	err := r.Update(t.Context(), func(tx store.Tx) error {
		if err := event(tx, "lost"); err != nil {
			return err
		}
		return tx.InsertLease(&compute.Lease{ID: "e", Instance: "i-1"})
	})
	is(t, "an instance leased twice", err, compute.ErrConflict)
	err = r.Update(t.Context(), func(tx store.Tx) error {
		_ = tx.InsertLease(&compute.Lease{ID: "f", Instance: "i-1"}) // its caller does not look
		return nil
	})
	if err == nil {
		t.Error("an instance leased twice was no error of the transaction")
	}
	// An ended lease has neither the name nor the instance.
	update(t, r, func(tx store.Tx) error {
		return tx.InsertLease(&compute.Lease{ID: "g", Name: "mine", Instance: "i-1", Ending: compute.Ending{Ended: at(2)}})
	})
	view(t, r, func(tx store.Tx) error {
		ls, err := tx.Leases(inventory.LeaseQuery{})
		if got := leaseIDs(ls); got != "a c i d" {
			t.Errorf("living are %q", got)
		}
		return err
	})
	if got := kinds(t, r); len(got) != 0 {
		t.Errorf("what failed left %q", got)
	}
}

// queue joins and leaves.
func queue(t *testing.T, r *rig) {
	full := &inventory.Waiter{Source: "s", Wants: []int64{3, 1 << 40, -1}, Count: 4, Owner: "ann", Worker: 1<<52 - 1, Since: at(1),
		Project: "p-1", Priority: -7, Purpose: "p", Cores: 2, Memory: 1 << 40, Disk: 1 << 41, Passed: 3, Reason: "full", Asks: `{"gpus":1}`}
	bare := &inventory.Waiter{}
	third := &inventory.Waiter{Source: "t"}
	update(t, r, func(tx store.Tx) error {
		if ws, err := tx.Waiters(); err != nil || len(ws) != 0 {
			return errors.Join(err, fmt.Errorf("%d wait at first", len(ws)))
		}
		return errors.Join(tx.Join(full), tx.Join(bare))
	})
	update(t, r.open(), func(tx store.Tx) error { return tx.Join(third) })
	if !(0 < full.ID && full.ID < bare.ID && bare.ID < third.ID) {
		t.Errorf("ids are %d, %d, %d", full.ID, bare.ID, third.ID)
	}
	check := func(want ...*inventory.Waiter) {
		t.Helper()
		view(t, r, func(tx store.Tx) error {
			got, err := tx.Waiters()
			if err == nil {
				same(t, "queue", got, want)
			}
			return err
		})
	}
	check(full, bare, third)
	bare.Passed, bare.Reason, bare.Wants = 2, "later", []int64{5, 7}
	moved := *bare
	moved.Owner, moved.Priority = "eve", 0 // its first values stay
	update(t, r, func(tx store.Tx) error {
		if err := tx.SaveWaiter(&inventory.Waiter{ID: 4711}); !errors.Is(err, compute.ErrNotFound) {
			return fmt.Errorf("one that is not there is saved: %v", err)
		}
		return tx.SaveWaiter(&moved)
	})
	check(full, bare, third)
	update(t, r, func(tx store.Tx) error { return errors.Join(tx.Leave(third.ID), tx.Leave(full.ID), tx.Leave(4711)) })
	check(bare)
	// A number is not given again, so no waiter takes a later one's place.
	again := &inventory.Waiter{Source: "u"}
	update(t, r, func(tx store.Tx) error {
		if ws, err := tx.Waiters(); err != nil || len(ws) != 1 {
			return errors.Join(err, fmt.Errorf("%d wait", len(ws)))
		}
		if err := errors.Join(tx.Leave(bare.ID), tx.Join(again)); err != nil {
			return err
		}
		ws, err := tx.Waiters()
		if len(ws) != 1 {
			t.Errorf("%d wait in the transaction that changed the queue", len(ws))
		}
		return err
	})
	check(again)
	if again.ID <= third.ID {
		t.Errorf("the number %d was given again", again.ID)
	}
}

// events appends and selects.
func events(t *testing.T, r *rig) {
	full := &compute.Event{
		Time: at(1), Kind: "k", Source: "s", Instance: "i-1", Lease: "l", Owner: "ann", Text: "text",
		Data: map[string]string{"a": "b"}, Project: "p-1",
	}
	all := []*compute.Event{full, {Time: at(2), Kind: "2", Source: "s"}, {Time: at(0), Kind: "3", Instance: "i-1"},
		{Time: at(4), Kind: "4", Lease: "l"},
		{Time: at(5), Kind: "5", Source: "s", Instance: "i-1"}}
	for _, e := range all {
		var id int64
		update(t, r, func(tx store.Tx) (err error) { id, err = tx.Append(e); return err })
		if id == 0 || e.ID != id {
			t.Fatalf("id %d, and in the record %d", id, e.ID)
		}
	}
	for _, c := range []struct {
		q    inventory.EventQuery
		want []int
	}{
		{inventory.EventQuery{}, []int{0, 1, 2, 3, 4}},
		{inventory.EventQuery{After: all[2].ID}, []int{3, 4}},
		{inventory.EventQuery{After: all[4].ID}, nil},
		{inventory.EventQuery{Newest: 2}, []int{3, 4}},
		{inventory.EventQuery{Newest: 99}, []int{0, 1, 2, 3, 4}},
		{inventory.EventQuery{Newest: 3, After: all[3].ID}, []int{4}},
		{inventory.EventQuery{After: all[0].ID, Limit: 2}, []int{1, 2}},
		{inventory.EventQuery{Newest: 3, Limit: 1}, []int{2}},
		{inventory.EventQuery{Source: "s", Limit: 2}, []int{0, 1}},
		{inventory.EventQuery{Source: "s"}, []int{0, 1, 4}},
		{inventory.EventQuery{Source: "s", Newest: 2}, []int{1, 4}},
		{inventory.EventQuery{Instance: "i-1"}, []int{0, 2, 4}},
		{inventory.EventQuery{Instance: "i-1", Source: "s", After: full.ID}, []int{4}},
		{inventory.EventQuery{Lease: "l"}, []int{0, 3}},
		{inventory.EventQuery{Projects: []string{"p-1", "p-2"}}, []int{0}},
		{inventory.EventQuery{Projects: []string{""}, Newest: 3}, []int{2, 3, 4}},
		{inventory.EventQuery{Projects: []string{}}, nil},
		{inventory.EventQuery{Projects: []string{"p-1"}, Common: true}, []int{0, 1, 2, 4}},
		{inventory.EventQuery{Projects: []string{"p-2"}, Common: true, Newest: 2}, []int{2, 4}},
		{inventory.EventQuery{Lease: "none"}, nil},
	} {
		var want []*compute.Event
		for _, n := range c.want {
			want = append(want, all[n])
		}
		view(t, r, func(tx store.Tx) error {
			got, err := tx.Events(c.q)
			if err == nil {
				same(t, fmt.Sprintf("%+v", c.q), got, want)
			}
			return err
		})
	}
}

// prune: old records are deleted, and no others; ids go on.
func prune(t *testing.T, r *rig) {
	var last int64
	update(t, r, func(tx store.Tx) error {
		for n := range 4 {
			id, err := tx.Append(&compute.Event{Time: at(n), Kind: fmt.Sprint(n)})
			if err != nil {
				return err
			}
			last = id
			err = errors.Join(tx.InsertLease(&compute.Lease{ID: fmt.Sprint("ended-", n), Instance: "i", Given: at(0),
				Ending: compute.Ending{Ended: at(n)}}),
				tx.InsertLease(&compute.Lease{ID: fmt.Sprint("lives-", n), Instance: compute.ID(fmt.Sprint("j-", n)), Given: at(n)}))
			if err != nil {
				return err
			}
		}
		return nil
	})
	update(t, r, func(tx store.Tx) error { return tx.Prune(at(2)) })
	if got := fmt.Sprint(kinds(t, r)); got != "[2 3]" {
		t.Errorf("events left: %s", got)
	}
	view(t, r, func(tx store.Tx) error {
		ended, err := tx.Leases(inventory.LeaseQuery{Ended: true})
		if err != nil {
			return err
		}
		lives, err := tx.Leases(inventory.LeaseQuery{})
		if leaseIDs(ended) != "ended-3 ended-2" || len(lives) != 4 {
			t.Errorf("leases left: %q, and %d that live", leaseIDs(ended), len(lives))
		}
		return err
	})
	update(t, r, func(tx store.Tx) error { return tx.Prune(at(99)) })
	update(t, r, func(tx store.Tx) error {
		id, err := tx.Append(&compute.Event{Time: at(1), Kind: "new"})
		if id <= last {
			t.Errorf("the id %d was given again after %d", id, last)
		}
		return err
	})
}

// farLeases: a lease that would end after the last moment a record can have ends at that moment,
// and not long ago.
func farLeases(t *testing.T, r *rig) {
	far := &compute.Lease{
		ID: "l-far", Instance: "i-far", Given: at(1), Used: at(1), TTL: math.MaxInt64,
		Expires: at(1).Add(math.MaxInt64).Add(math.MaxInt64), Idle: math.MaxInt64,
	}
	update(t, r, func(tx store.Tx) error { return tx.InsertLease(far) })
	update(t, r, func(tx store.Tx) error {
		got, err := tx.Lease("l-far")
		if err != nil {
			return err
		}
		if until := got.Deadline(); until.Before(at(1).AddDate(200, 0, 0)) {
			t.Errorf("a lease of 292 years ends at %v", until)
		}
		got.Ended, got.Why = at(2), "released"
		return tx.SaveLease(got)
	})
}
