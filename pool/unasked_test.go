package pool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// TestUnasked: where nobody was there to be asked for a computer, nobody has to be there to say
// that it does not exist.
func TestUnasked(t *testing.T) {
	sources := append(web(func(*pool.Source) {}), pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}})
	inBubble(t, nil, sources, func(t *testing.T, ctx context.Context, r *rig) {
		gone := &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("no engine is there")}
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "create" {
				return provider.Unasked(gone)
			}
			return gone
		}
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
		kind(t, err, compute.ErrUnavailable)
		if s := r.state(t, ctx, "web-1"); s != "gone" {
			t.Errorf("what was never asked for is %s", s)
		}
		_, err = r.Acquire(ctx, compute.Request{Source: "front", Count: 1, Owner: "ann"})
		kind(t, err, compute.ErrNoCapacity)
		if s := r.state(t, ctx, "web-2"); s != "gone" {
			t.Errorf("what was never asked for behind a pool is %s", s)
		}
		sts, err := r.Status(ctx)
		must(t, err)
		for _, s := range sts {
			if s.Name == "web" && s.Failures < 2 {
				t.Errorf("%d failures are counted", s.Failures)
			}
		}
	})
	inBubble(t, nil, sources, func(t *testing.T, ctx context.Context, r *rig) {
		gone := &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("no engine is there")}
		// One that was asked may be there: it is asked about until somebody says that it is not.
		r.fail = func(string, string, compute.ID) error { return provider.Asked(provider.Unasked(gone)) }
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: time.Second})
		kind(t, err, compute.ErrUnavailable)
		is, err := r.Instances(ctx, inventory.InstanceQuery{})
		must(t, err)
		if len(is) != 1 || is[0].Source != "web" || is[0].State != compute.Discarding {
			t.Errorf("what was asked for: %v", is)
		}
	})
}
