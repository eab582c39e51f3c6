package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// aging is a pool over a pool over a source whose one instance lasts for an hour.
func aging() []pool.Source {
	return []pool.Source{
		{Name: "web", Type: "fake", Digest: "d", Maximum: 1, MaxAge: time.Hour},
		{Name: "inner", Type: "pool", Digest: "d", Children: []string{"web"}, Reserve: 1},
		{Name: "outer", Type: "pool", Digest: "d", Children: []string{"inner"}, Reserve: 1},
	}
}

// TestWornBehindAPool: what a pool keeps goes when the computer behind it has reached its age,
// though nobody asks for it.
func TestWornBehindAPool(t *testing.T) {
	inBubble(t, nil, aging(), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "outer")
		must(t, err)
		time.Sleep(30 * time.Minute)
		next, err := r.RunDue(ctx)
		must(t, err)
		if left := time.Until(next); left != 30*time.Minute {
			t.Errorf("there is more to do in %v, want half an hour", left)
		}
		if s := r.state(t, ctx, "outer-inner-web-1"); s != compute.Ready {
			t.Errorf("after half an hour it is %s", s)
		}
		time.Sleep(time.Until(next))
		for range 3 { // one for each that stands behind another
			_, err = r.RunDue(ctx)
			must(t, err)
		}
		for _, id := range []compute.ID{"outer-inner-web-1", "inner-web-1", "web-1"} {
			if s := r.state(t, ctx, id); s != "gone" {
				t.Errorf("%s is %s after its hour", id, s)
			}
		}
	})
}

// TestWornBehindAPoolIsAskedFor: who asks for it gets another, also where there is no room beside
// it, and whether he waits or not.
func TestWornBehindAPoolIsAskedFor(t *testing.T) {
	for name, wait := range map[string]time.Duration{"waits": 5 * time.Second, "does not wait": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, aging(), func(t *testing.T, ctx context.Context, r *rig) {
				_, err := r.Fill(ctx, "outer")
				must(t, err)
				time.Sleep(2 * time.Hour)
				if l := r.take(t, ctx, compute.Request{Source: "outer", Wait: wait}); l.Instance != "outer-inner-web-2" {
					t.Errorf("it got %s", l.Instance)
				}
			})
		})
	}
}

// TestWornByAnotherConfiguration: instances that are used up by what the configuration says now
// make room as well, though they stood ready before.
func TestWornByAnotherConfiguration(t *testing.T) {
	twice := func(s *pool.Source) { s.Reserve, s.Maximum = 1, 1 }
	inBubble(t, nil, web(twice), func(t *testing.T, ctx context.Context, r *rig) {
		for range 2 {
			l := r.take(t, ctx, compute.Request{})
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		}
		later := newRigOn(t, r.store, r.clouds, web(func(s *pool.Source) { twice(s); s.MaxUses = 2 }), nil)
		if l := later.take(t, ctx, compute.Request{Wait: 5 * time.Second}); l.Instance != "web-2" {
			t.Errorf("it got %s", l.Instance)
		}
	})
}
