package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// TestKeptForAPrice: who asks for nothing but a price, and for whom nothing can be made now, has
// what comes to stand ready for that, and not who comes after him. What is dearer is not kept for
// him.
func TestKeptForAPrice(t *testing.T) {
	for name, price := range map[string]float64{"his": 2, "dearer": 0.5} {
		t.Run(name, func(t *testing.T) {
			refuse := func(s compute.Spec) error {
				if s.MaxPrice > 0 {
					return errHall
				}
				return nil
			}
			ofPicky(t, func(s *pool.Source) { s.Price = 0.25 }, refuse, func(t *testing.T, ctx context.Context, r *rig) {
				first := r.take(t, ctx, compute.Request{})
				ctx, stop := context.WithCancel(ctx)
				defer stop()
				given := make(chan compute.ID, 1)
				go func() {
					defer close(given)
					if ls, err := r.Acquire(
						ctx, compute.Request{Source: "web", Count: 1, Owner: "eve", MaxPrice: price, Wait: time.Hour},
					); err == nil {
						given <- ls[0].Instance
					}
				}()
				time.Sleep(10 * time.Second)
				// so that nobody is woken by it
				must(t, r.store.Update(ctx, func(tx store.Tx) error {
					l, err := tx.LeaseOf(first.Instance)
					must(t, err)
					l.Ended = time.Now()
					must(t, tx.SaveLease(l))
					i, err := tx.Instance(first.Instance)
					must(t, err)
					i.State, i.Facts = compute.Ready, map[string]string{provider.FactPrice: "1"}
					return tx.SaveInstance(i)
				}))
				later := r.take(t, ctx, compute.Request{})
				if kept := later.Instance != first.Instance; kept != (price >= 1) {
					t.Errorf("who came later was given %s", later.Instance)
				}
				if price < 1 {
					return
				}
				if id := <-given; id != first.Instance {
					t.Errorf("who asked for a price was given %q", id)
				}
			})
		})
	}
}
