package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// slowClean takes a while to clean.
type slowClean struct{ compute.Provider }

func (s slowClean) Unwrap() compute.Provider { return s.Provider }

func (s slowClean) Clean(ctx context.Context, id compute.ID) (string, error) {
	time.Sleep(10 * time.Second) // in a bubble: cleaning takes time
	return s.Provider.(provider.Cleaner).Clean(ctx, id)
}

// TestAwaited: what is given back while somebody waits for it is cleaned for him, though nothing is
// to be kept; else it goes.
func TestAwaited(t *testing.T) {
	change := func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return slowClean{p}, err
		}
	}
	sources := append(
		web(func(s *pool.Source) { s.Maximum = 2 }),
		pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}},
	)
	inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
		for _, source := range []string{"web", "front"} {
			had, err := r.Acquire(ctx, compute.Request{Source: source, Count: 2, Owner: "ann"})
			must(t, err)
			got := make(chan compute.Lease, 1)
			go func() { got <- r.take(t, ctx, compute.Request{Source: source, Wait: time.Hour}) }()
			go func() { // gives up before it is clean
				_, err := r.Acquire(ctx, compute.Request{Source: source, Count: 1, Owner: "bob", Wait: 15 * time.Second})
				kind(t, err, compute.ErrTimeout)
			}()
			time.Sleep(10 * time.Second)
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, had[1].Instance))
			l := <-got
			if l.Instance != had[1].Instance {
				t.Errorf("who waited got %s, and %s was given back", l.Instance, had[1].Instance)
			}
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
			if s := r.state(t, ctx, l.Instance); s != "gone" {
				t.Errorf("%s is %s, and nobody waits", l.Instance, s)
			}
			go func() {
				_, err := r.Acquire(ctx, compute.Request{Source: source, Count: 2, Owner: "bob", Wait: 15 * time.Second})
				kind(t, err, compute.ErrTimeout)
			}()
			time.Sleep(10 * time.Second)
			// it takes until nobody waits
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, had[0].Instance))
			time.Sleep(time.Minute)
			is, err := r.Instances(ctx, inventory.InstanceQuery{})
			must(t, err)
			for _, i := range is {
				t.Errorf("in the end %s is %s", i.ID, i.State)
			}
		}
	})
}
