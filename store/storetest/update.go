package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

var errMine = errors.New("my own error")

// updateFails: nothing of a function that fails stays, and its caller gets its error as it is.
func updateFails(t *testing.T, r *rig) {
	src := source(t, r, "s")
	err := r.Update(t.Context(), func(tx store.Tx) error {
		err := errors.Join(event(tx, "lost"), tx.InsertLease(&compute.Lease{ID: "l", Instance: "i"}), tx.Join(&inventory.Waiter{}),
			tx.SaveInstance(&compute.Instance{ID: "s-1", Source: "s", SourceKey: src.Key, State: compute.Ready}))
		if err != nil {
			return err
		}
		return errMine
	})
	is(t, "Update", err, errMine)
	for _, s := range []Handle{r.Handle, r.open()} {
		view(t, s, func(tx store.Tx) error {
			n := first(tx.Events(inventory.EventQuery{})) + first(tx.Leases(inventory.LeaseQuery{})) + first(tx.Waiters()) +
				first(tx.Instances(inventory.InstanceQuery{}))
			if n != 0 {
				t.Errorf("%d records stayed", n)
			}
			rec, err := tx.SourceByKey(src.Key)
			if err == nil {
				same(t, "counts", rec.Counts, inventory.Counts{})
			}
			return err
		})
	}
	update(t, r, func(tx store.Tx) error { return event(tx, "kept") })
	if got := kinds(t, r.open()); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("events: %q", got)
	}
}

// failsAmongMany: of 64 callers at once, every fourth fails after it has written, in one of four
// ways. The changes of the others stay, and the changes of these do not.
func failsAmongMany(t *testing.T, r *rig) {
	src := source(t, r, "s")
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			for round := range 5 {
				what := fmt.Sprintf("%d/%d", n, round)
				err := call(func() error {
					return r.Update(t.Context(), func(tx store.Tx) error {
						rec, err := tx.SourceByKey(src.Key)
						if err != nil {
							return err
						}
						before := rec.Counts.Ready
						err = errors.Join(event(tx, what),
							tx.SaveInstance(&compute.Instance{ID: compute.ID(what), Source: "s", SourceKey: src.Key, State: compute.Ready}))
						if err != nil {
							return err
						}
						if rec, err = tx.SourceByKey(src.Key); err != nil {
							return err
						}
						if rec.Counts.Ready != before+1 {
							t.Errorf("%s: %d are ready after one more than %d", what, rec.Counts.Ready, before)
						}
						switch n % 16 {
						case 3:
							return errMine
						case 7:
							panic(errMine)
						case 11:
							_ = tx.InsertLease(&compute.Lease{ID: "twice", Instance: compute.ID(what)})
							return tx.InsertLease(&compute.Lease{ID: "twice", Instance: compute.ID(what)})
						case 15:
							_ = tx.InsertLease(&compute.Lease{ID: "twice", Instance: compute.ID(what)})
							_ = tx.InsertLease(&compute.Lease{ID: "twice", Instance: compute.ID(what)})
						}
						return nil
					})
				})
				switch {
				case n%4 != 3 && err != nil:
					t.Errorf("%s: %v", what, err)
				case n%4 == 3 && err == nil:
					t.Errorf("%s did not fail", what)
				case n%16 == 3 && !errors.Is(err, errMine), n%16 == 7 && !errors.Is(err, errMine):
					t.Errorf("%s: another's error: %v", what, err)
				}
			}
		})
	}
	wg.Wait()
	got := kinds(t, r.open())
	slices.Sort(got)
	var want []string
	for n := range 64 {
		for round := range 5 {
			if n%4 != 3 {
				want = append(want, fmt.Sprintf("%d/%d", n, round))
			}
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d events stayed, want %d", len(got), len(want))
	}
	recount(t, r)
}

// call returns what a function panics with as its error.
func call(f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			err = p
		default:
			err = fmt.Errorf("%v", p)
		}
	}()
	return f()
}

// recount compares every source's counts with its instances.
func recount(t testing.TB, s Handle) {
	t.Helper()
	view(t, s, func(tx store.Tx) error { return recounted(tx) })
}

// recounted checks the counts of each source against its instances.
func recounted(tx store.Tx) error {
	all, err := tx.Sources("")
	if err != nil {
		return err
	}
	for _, rec := range all {
		is, err := tx.Instances(inventory.InstanceQuery{SourceKey: rec.Key})
		if err != nil {
			return err
		}
		var n inventory.Counts
		for _, i := range is {
			*field(&n, i.State)++
		}
		one, err := tx.SourceByKey(rec.Key)
		if err != nil {
			return err
		}
		if rec.Counts != n || one.Counts != n {
			return fmt.Errorf("source %s counts %+v, and its own record %+v, where there are %+v", rec.Name, rec.Counts, one.Counts, n)
		}
	}
	return nil
}

func field(c *inventory.Counts, s compute.State) *int {
	return map[compute.State]*int{compute.Creating: &c.Creating, compute.SettingUp: &c.SettingUp,
		compute.Ready: &c.Ready, compute.Leased: &c.Leased,
		compute.Cleaning: &c.Cleaning, compute.Failed: &c.Failed, compute.Discarding: &c.Discarding, compute.Held: &c.Held}[s]
}

// panics: a panic is its caller's, takes nothing with it, and leaves a store that works.
func panics(t *testing.T, r *rig) {
	for what, write := range map[string]bool{"before it wrote": false, "after it wrote": true} {
		err := call(func() error {
			return r.Update(t.Context(), func(tx store.Tx) error {
				if write {
					if err := event(tx, "lost"); err != nil {
						return err
					}
				}
				panic(errMine)
			})
		})
		is(t, what, err, errMine)
		err = call(func() error { return r.View(t.Context(), func(store.Tx) error { panic(errMine) }) })
		is(t, "View", err, errMine)
	}
	update(t, r, func(tx store.Tx) error { return event(tx, "kept") })
	if got := kinds(t, r); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("events: %q", got)
	}
	// One that waits behind a panic is served.
	began, on := make(chan struct{}), make(chan struct{})
	lead := make(chan error)
	go func() {
		lead <- call(func() error {
			return r.Update(t.Context(), func(store.Tx) error {
				close(began)
				<-on
				panic(errMine)
			})
		})
	}()
	<-began
	follow := make(chan error)
	go func() { follow <- r.Update(t.Context(), func(tx store.Tx) error { return event(tx, "behind") }) }()
	time.Sleep(20 * time.Millisecond)
	close(on)
	is(t, "the leader", <-lead, errMine)
	if err := <-follow; err != nil {
		t.Error(err)
	}
}

// contexts: one that ended before its turn runs nothing, and one that ends while it waits does not
// wait on.
func contexts(t *testing.T, r *rig) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var ran atomic.Bool
	run := func(tx store.Tx) error { ran.Store(true); return event(tx, "not wanted") }
	is(t, "Update", r.Update(ended, run), context.Canceled)
	is(t, "View", r.View(ended, run), context.Canceled)

	began, on := make(chan struct{}), make(chan struct{})
	lead := make(chan error)
	go func() {
		lead <- r.Update(t.Context(), func(tx store.Tx) error {
			select {
			case <-began:
			default:
				close(began)
			}
			<-on
			return event(tx, "lead")
		})
	}()
	<-began
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	behind := make(chan error, 2)
	go func() { behind <- r.Update(soon, run) }() // would lead the next batch
	time.Sleep(5 * time.Millisecond)
	go func() { behind <- r.Update(t.Context(), func(tx store.Tx) error { return event(tx, "last") }) }()
	is(t, "one that waits", <-behind, context.DeadlineExceeded)
	close(on)
	for _, c := range []chan error{lead, behind} {
		if err := <-c; err != nil {
			t.Error(err)
		}
	}
	if ran.Load() {
		t.Error("a function was run for a context that had ended")
	}
	// Once it runs, the end of its context changes nothing.
	late, cancel2 := context.WithCancel(t.Context())
	if err := r.Update(late, func(tx store.Tx) error { cancel2(); return event(tx, "late") }); err != nil {
		t.Error(err)
	}
	if got := kinds(t, r); !slices.Equal(got, []string{"lead", "last", "late"}) {
		t.Errorf("events: %q", got)
	}
}

// nested: a function may read the store by View, which does not see the function's own writes.
func nested(t *testing.T, r *rig) {
	update(t, r, func(tx store.Tx) error {
		if err := event(tx, "one"); err != nil {
			return err
		}
		return r.View(t.Context(), func(tx store.Tx) error {
			if n := first(tx.Events(inventory.EventQuery{})); n != 0 {
				t.Errorf("View sees %d events that are not committed", n)
			}
			return nil
		})
	})
}

// swallowed: a function that goes on after its transaction failed gets nowhere.
func swallowed(t *testing.T, r *rig) {
	err := r.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.InsertLease(&compute.Lease{ID: "l", Instance: "i"}); err != nil {
			return err
		}
		_ = tx.InsertLease(&compute.Lease{ID: "m", Instance: "i"})
		_ = event(tx, "after")
		return nil
	})
	if err == nil {
		t.Error("Update succeeded")
	}
	if got := kinds(t, r); len(got) != 0 {
		t.Errorf("it left %q", got)
	}
}

// views see one state however long they last, and cannot write.
func views(t *testing.T, r *rig) {
	update(t, r, func(tx store.Tx) error { return event(tx, "first") })
	other := r.open()
	var wg sync.WaitGroup
	for n := range 24 {
		wg.Go(func() {
			view(t, []Handle{r.Handle, other}[n%2], func(tx store.Tx) error {
				before := first(tx.Events(inventory.EventQuery{}))
				if n < 2 {
					time.Sleep(30 * time.Millisecond)
				}
				time.Sleep(2 * time.Millisecond)
				if after := first(tx.Events(inventory.EventQuery{})); after != before || before < 1 {
					t.Errorf("a View saw %d events, then %d", before, after)
				}
				return nil
			})
		})
		wg.Go(func() { update(t, other, func(tx store.Tx) error { return event(tx, "more") }) })
	}
	wg.Wait()
	if got := kinds(t, r); len(got) != 25 {
		t.Errorf("%d events", len(got))
	}
	for name, write := range map[string]func(store.Tx) error{
		"returned":  func(tx store.Tx) error { return event(tx, "write") },
		"swallowed": func(tx store.Tx) error { _ = event(tx, "write"); return nil },
		"number":    func(tx store.Tx) error { _, err := tx.NextNumber("s"); return err },
	} {
		for range 20 { // on whichever connection
			if err := r.View(t.Context(), write); err == nil {
				t.Fatalf("%s: a View wrote", name)
			}
		}
	}
	is(t, "View", r.View(t.Context(), func(store.Tx) error { return errMine }), errMine)
	if got := kinds(t, r); len(got) != 25 {
		t.Errorf("%d events after writes in Views", len(got))
	}
}
