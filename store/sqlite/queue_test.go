package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestQueueIsRemembered: what a handle remembers of the queue is what is there, whatever another
// handle writes, and whatever is taken back.
func TestQueueIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	a, b := mustOpen(t, path), mustOpen(t, path)
	ctx := context.Background()
	join := func(st *sqlite.Store, owner string, fail error) (w inventory.Waiter) {
		t.Helper()
		w = inventory.Waiter{Source: "web", Owner: owner, Count: 1, Wants: []int64{1}}
		err := st.Update(ctx, func(tx store.Tx) error {
			if _, err := tx.Waiters(); err != nil {
				return err
			}
			return errors.Join(tx.Join(&w), fail)
		})
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
		return w
	}
	check := func(want ...string) {
		t.Helper()
		for n, st := range []*sqlite.Store{a, b} {
			look := func(tx store.Tx) error {
				ws, err := tx.Waiters()
				var got []string
				for _, w := range ws {
					got = append(got, w.Owner)
					w.Owner, w.Wants[0] = "spoilt", 99 // the caller's own
				}
				if !slices.Equal(got, want) {
					t.Errorf("handle %d sees %v, want %v", n, got, want)
				}
				return err
			}
			for range 2 {
				if err := errors.Join(st.Update(ctx, look), st.View(ctx, look)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	check()
	ann, bob := join(a, "ann", nil), join(b, "bob", nil)
	check("ann", "bob")
	join(a, "eve", errors.New("not after all"))
	check("ann", "bob")
	joe := join(a, "joe", nil)
	if err := b.Update(ctx, func(tx store.Tx) error { return tx.Leave(ann.ID) }); err != nil {
		t.Fatal(err)
	}
	check("bob", "joe")
	err := a.Update(ctx, func(tx store.Tx) error { return errors.Join(tx.Leave(bob.ID), tx.Leave(joe.ID), errFailed) })
	if !errors.Is(err, errFailed) {
		t.Fatal(err)
	}
	check("bob", "joe")
	joe.Passed = 3
	if err := b.Update(ctx, func(tx store.Tx) error { return errors.Join(tx.SaveWaiter(&joe), tx.Leave(bob.ID)) }); err != nil {
		t.Fatal(err)
	}
	check("joe")
	err = a.View(ctx, func(tx store.Tx) error {
		ws, err := tx.Waiters()
		if err == nil && (len(ws) != 1 || ws[0].Passed != 3 || ws[0].Wants[0] != 1) {
			t.Errorf("ws = %+v; want an error or len(ws) == 1 and ws[0].Passed == 3 and ws[0].Wants[0] == 1", ws)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var errFailed = errors.New("it failed")

// TestReadersAtOnce: however many read at once, only a few connections are there, and who waits for
// one may give up.
func TestReadersAtOnce(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state.db"))
	var most, now atomic.Int64
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			if err := s.View(t.Context(), func(store.Tx) error {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched()
				now.Add(-1)
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() > 7 { // one of them may be the writer's
		t.Errorf("%d read at once, each by a connection", most.Load())
	}
	let := make(chan struct{})
	var inside sync.WaitGroup
	for range 6 {
		inside.Add(1)
		all.Go(func() {
			_ = s.View(t.Context(), func(store.Tx) error { inside.Done(); <-let; return nil })
		})
	}
	inside.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := s.View(ctx, func(store.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it gave up", err)
	}
	close(let)
	all.Wait()
	if err := s.View(t.Context(), func(store.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}
