package pool_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// TestWaitedIsTold: the journal says of each hand-out how long its request waited, and nothing
// where it took what stood ready.
func TestWaitedIsTold(t *testing.T) {
	sources := web(func(s *pool.Source) { s.Maximum, s.Reserve = 1, 1 })
	inBubble(t, nil, sources, func(t *testing.T, ctx context.Context, r *rig) {
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "create" {
				time.Sleep(2 * time.Minute)
			}
			return nil
		}
		first := r.take(t, ctx, compute.Request{}) // made for it
		done := make(chan compute.Lease)
		go func() { done <- r.take(t, ctx, compute.Request{Wait: time.Hour}) }() // waits for it
		synctest.Wait()
		time.Sleep(time.Minute)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, first.Instance))
		second := <-done
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, second.Instance))
		third := r.take(t, ctx, compute.Request{}) // stands ready
		waited := func(l compute.Lease) time.Duration {
			t.Helper()
			events, err := r.Events(ctx, inventory.EventQuery{Lease: l.ID})
			must(t, err)
			for _, e := range events {
				if text := e.Data["waited"]; e.Kind == string(compute.Leased) && text != "" {
					d, err := time.ParseDuration(text)
					must(t, err)
					return d
				}
			}
			return 0
		}
		if d := waited(first); d < 2*time.Minute || d > 3*time.Minute {
			t.Errorf("one that was made for its request: waited %v, and that takes 2m", d)
		}
		if d := waited(second); d < time.Minute || d > 2*time.Minute {
			t.Errorf("one that was given back a minute later: waited %v", d)
		}
		if d := waited(third); d != 0 {
			t.Errorf("one that stood ready: waited %v", d)
		}
	})
}
