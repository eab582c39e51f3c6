package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// TestIdleWaitsForWhatIsMade: what stands ready does not go, however long it stood idle, for what is still being made.
func TestIdleWaitsForWhatIsMade(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve, s.Idle = 2, time.Minute }), func(t *testing.T, ctx context.Context, r *rig) {
		must(t, second(r.Fill(ctx, "web")))
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "create" {
				time.Sleep(time.Hour)
			}
			return nil
		}
		finish, err := r.Do(ctx, compute.Directive{Verb: compute.VerbCreate, Source: "web", Count: 1, Total: 3})
		must(t, err)
		made := make(chan error)
		go func() { made <- finish(ctx) }()
		time.Sleep(30 * time.Minute)
		must(t, second(r.Work(ctx)))
		if n := r.webCounts(t, ctx); n.Ready != 2 || n.Creating != 1 {
			t.Errorf("while one is made there are %+v", n)
		}
		must(t, <-made)
		must(t, second(r.Work(ctx)))
		if n := r.webCounts(t, ctx); n.Cached() != 2 {
			t.Errorf("once it is made there are %+v", n)
		}
	})
}
