package pool_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store"
)

// TestFoundPlace lets the instance that a waiter is given be unfit: he must then wait in the queue
// again, where those who come later are behind it.
func TestFoundPlace(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		unfit := false
		r := newRig(t, dir, map[string]*fake.Cloud{}, []pool.Source{{
			Name: "web", Type: "fake", Digest: "d", Reserve: 1, Maximum: 1, Hooks: []string{"acquire"},
		}},
			func(o *pool.Options) {
				o.Hooks = func(context.Context, pool.HookCall) error {
					if unfit {
						unfit = false
						return errors.New("unfit")
					}
					return nil
				}
				open := o.Open
				o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
					p, err := open(ctx, name, typ, def)
					return slowEnd{p}, err
				}
			})
		ls, err := r.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann"})
		must(t, err)
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		for n, who := range []string{"bob", "eve", "joe"} {
			wg.Go(func() {
				time.Sleep(time.Duration(n) * 100 * time.Millisecond)
				ls, err := r.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: who, Wait: time.Hour})
				if err != nil {
					t.Errorf("%s: err = %v; want no error", who, err)
					return
				}
				mu.Lock()
				order = append(order, who)
				mu.Unlock()
				time.Sleep(time.Minute)
				if err := r.Release(t.Context(), compute.Who{Owner: who}, compute.ReleaseOptions{}, ls[0].Instance); err != nil {
					t.Errorf("%s: err = %v; want no error", who, err)
				}
			})
		}
		time.Sleep(time.Second)
		unfit = true
		must(t, r.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, ls[0].Instance))
		var all []*inventory.Waiter
		time.Sleep(40 * time.Second) // the unfit one is gone, and another made
		must(t, r.store.View(t.Context(), func(tx store.Tx) (err error) { all, err = tx.Waiters(); return err }))
		mu.Lock()
		if unfit || len(all)+len(order) != 3 {
			t.Errorf("%d wait, and %v have it", len(all), order)
		}
		mu.Unlock()
		wg.Wait()
		must(t, r.store.Close())
	})
}

// slowEnd takes a while to destroy.
type slowEnd struct{ compute.Provider }

func (s slowEnd) Unwrap() compute.Provider { return s.Provider }

func (s slowEnd) Destroy(ctx context.Context, id compute.ID) error {
	time.Sleep(10 * time.Second) // in a bubble: an end takes time
	return s.Provider.Destroy(ctx, id)
}
