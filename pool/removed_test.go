package pool_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// TestRemoved: what stands ready of a source that was taken out of the configuration is discarded
// by who is told so, the first time that he looks, and by nobody else. What somebody has stays
// until he gives it back, and its hooks are run by the definition that it was made by.
func TestRemoved(t *testing.T) {
	here := func(name, place string) bool { return place == "/etc/hostler" }
	var ran []string
	change := func(gone func(name, place string) bool) func(*pool.Options) {
		return func(o *pool.Options) {
			o.Gone = gone
			o.Kept = func([]byte) ([]string, string, time.Duration) { return []string{"discard"}, "", 0 }
			o.Hooks = func(_ context.Context, c pool.HookCall) error {
				ran = append(ran, c.Event+" "+string(c.Instance.ID))
				return nil
			}
		}
	}
	inBubble(t, change(here), []pool.Source{
		{Name: "web", Type: "fake", Digest: "d", Place: "/etc/hostler", Reserve: 3, Hooks: []string{"discard"}},
		{Name: "tree", Type: "fake", Digest: "d", Place: "/work/.hostler", Reserve: 1},
	},
		func(t *testing.T, ctx context.Context, r *rig) {
			l := r.take(t, ctx, compute.Request{Source: "web"})
			for _, name := range []string{"web", "tree"} {
				_, err := r.Fill(ctx, name)
				must(t, err)
			}
			other := pool.Source{Name: "other", Type: "fake", Digest: "d", Place: "/etc/hostler"}
			look := func(of *rig) {
				var all sync.WaitGroup
				_, err := of.Reconcile(ctx, pool.ReconcileOptions{Go: all.Go, Done: func() {}})
				must(t, err)
				all.Wait()
			}
			command := newRigOn(t, r.store, r.clouds, []pool.Source{other}, change(nil))
			look(command)
			if s := r.status(t, ctx, "web").Counts; s.Ready != 2 || s.Leased != 1 {
				t.Fatalf("after a look by who knows nothing of it: %+v", s)
			}
			after := newRigOn(t, r.store, r.clouds, []pool.Source{other}, change(here))
			look(after)
			if s := r.status(t, ctx, "web").Counts; s != (inventory.Counts{Leased: 1}) {
				t.Errorf("after a look once it was taken out: %+v, want what is leased and no more", s)
			}
			if s := r.status(t, ctx, "tree").Counts; s.Ready != 1 {
				t.Errorf("of a source of another place: %+v, want it as it was", s)
			}
			must(t, after.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
			if s := r.status(t, ctx, "web").Counts; s != (inventory.Counts{}) {
				t.Errorf("after it was given back: %+v", s)
			}
			if len(ran) != 3 {
				t.Errorf("hooks ran: %q, want discard of each", ran)
			}
		})
}
