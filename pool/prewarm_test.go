package pool_test

import (
	"context"
	"slices"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// ahead is a provider at whose place something stands ahead of need: what it was told.
type ahead struct {
	compute.Provider
	least int
	told  *[]int
}

func (a ahead) Unwrap() compute.Provider { return a.Provider }

func (a ahead) Reserves() (provider.Prewarming, bool) {
	return provider.Prewarming{Least: a.least, Place: "here"}, true
}

func (a ahead) Reserve(_ context.Context, n int) error {
	*a.told = append(*a.told, n)
	return nil
}

// TestFillAhead: without a director nothing stands ahead but by fill, and no more than the maximum
// leaves.
func TestFillAhead(t *testing.T) {
	var told []int
	inBubble(t, func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			return ahead{p, 4, &told}, err
		}
	}, web(func(s *pool.Source) { s.Maximum, s.Ahead = 5, true }), func(t *testing.T, ctx context.Context, r *rig) {
		r.take(t, ctx, compute.Request{})
		if len(told) > 0 {
			t.Errorf("taking one told %v", told)
		}
		_, err := r.Fill(ctx)
		must(t, err)
		r.take(t, ctx, compute.Request{})
		if s := r.state1(t, ctx, nil); s.Ahead == nil || s.Ahead.Count != 4 || s.Ahead.Said.IsZero() || s.Ahead.Failed || s.Ahead.Busy {
			t.Errorf("then %+v", s.Ahead)
		}
		finish, err := r.Do(ctx, plan.Directive{Verb: plan.VerbAhead, Source: "web", Count: 2, Reason: "a test"})
		must(t, err)
		if s := r.state1(t, ctx, nil); !s.Ahead.Busy || s.Ahead.Count != 2 {
			t.Errorf("while it is said %+v", s.Ahead)
		}
		must(t, finish(ctx))
		_, err = r.Fill(ctx, "web")
		must(t, err)
		if want := []int{4, 2, 3}; !slices.Equal(told, want) {
			t.Errorf("it was told %v, not %v", told, want)
		}
	})
}
