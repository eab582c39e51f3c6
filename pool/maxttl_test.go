package pool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// TestPoolLiftsNoMaxTTL has leases through a pool last no longer than its sources allow, asked for,
// left out, by the pool's own ttl, and extended.
func TestPoolLiftsNoMaxTTL(t *testing.T) {
	inBubble(t, nil, []pool.Source{
		{Name: "short", Type: "fake", Digest: "d", MaxTTL: 2 * time.Hour}, {Name: "long", Type: "fake", Digest: "d"},
		{Name: "front", Type: "pool", Digest: "e", Children: []string{"short", "long"}},
		{Name: "outer", Type: "pool", Digest: "e", Children: []string{"front"}, TTL: 10 * time.Hour},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		for _, source := range []string{"short", "front", "outer"} {
			if _, err := r.Acquire(
				ctx, compute.Request{Source: source, Count: 1, Owner: "ann", TTL: 100 * time.Hour},
			); !errors.Is(err, compute.ErrInvalid) {
				t.Errorf("%s for 100 hours: %v", source, err)
			}
			ls, err := r.Acquire(ctx, compute.Request{Source: source, Count: 1, Owner: "ann"})
			if err != nil {
				t.Fatalf("%s: err = %v; want no error", source, err)
			}
			if ls[0].TTL != 2*time.Hour || ls[0].Expires.IsZero() {
				t.Errorf("%s: the lease lasts %v, until %v", source, ls[0].TTL, ls[0].Expires)
			}
			if _, err := r.Extend(ctx, compute.Who{Owner: "ann"}, 50*time.Hour, ls[0].Instance); !errors.Is(err, compute.ErrInvalid) {
				t.Errorf("%s extended: %v", source, err)
			}
		}
	})
}
