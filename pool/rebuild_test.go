package pool_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// TestRebuild: with reuse = rebuild a computer is made anew in its place, by the provider's
// cleaning, and comes back under its name.
func TestRebuild(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve, s.Maximum, s.Reuse = 1, 1, "rebuild" }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		for range 3 {
			l := r.take(t, ctx, compute.Request{})
			if l.Instance != "web-1" {
				t.Errorf("it got %s, which is another one", l.Instance)
			}
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
			if _, err := r.RunDue(ctx); err != nil {
				t.Fatal(err)
			}
		}
		events, err := r.Events(ctx, inventory.EventQuery{Instance: "web-1"})
		must(t, err)
		cleaned := 0
		for _, e := range events {
			if e.Kind == "cleaned" {
				cleaned++
			}
		}
		if cleaned != 3 {
			t.Errorf("it was cleaned %d times, of 3 uses", cleaned)
		}
	})
}

// onlyMakes hides that a provider can clean.
type onlyMakes struct{ compute.Provider }

// TestRebuildRefused: a type that cannot do it makes nothing, and the reason is told.
func TestRebuildRefused(t *testing.T) {
	refuse := func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return onlyMakes{p}, err
		}
	}
	inBubble(t, refuse, web(func(s *pool.Source) { s.Reuse = "rebuild" }), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Owner: "ann", Count: 1})
		if !errors.Is(err, compute.ErrInvalid) || compute.Hint(err) == "" {
			t.Errorf("%v, with the hint %q", err, compute.Hint(err))
		}
		if all, err := r.fakes["web"].List(ctx); err != nil || len(all) != 0 {
			t.Errorf("there are %v, %v", all, err)
		}
	})
}
