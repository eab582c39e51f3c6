package pool_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// TestCancelledInTheMidst: a request for many whose caller goes away while they are recorded goes
// no further.
func TestCancelledInTheMidst(t *testing.T) {
	named := 0
	var cancel context.CancelFunc
	change := func(o *pool.Options) {
		id := o.NewID
		o.NewID = func() string {
			if named++; named == 3 && cancel != nil {
				cancel()
			}
			return id()
		}
	}
	inBubble(t, change, []pool.Source{{Name: "web", Type: "fake", Digest: "d"}}, func(t *testing.T, ctx context.Context, r *rig) {
		var going context.Context
		going, cancel = context.WithCancel(ctx)
		named = 0
		if _, err := r.Acquire(going, compute.Request{Source: "web", Owner: "ann", Count: 500}); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v; want error context.Canceled", err)
		}
		if named > 10 {
			t.Errorf("%d were named after it had been cancelled", named)
		}
	})
}
