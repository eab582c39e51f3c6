package pool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// TestJam: of what stands ready not all goes for one who waits where it cannot be discarded, as on
// a node that is lost; the first that fails has another go in its stead, and when it can be
// discarded again he has his.
func TestJam(t *testing.T) {
	small := map[compute.ID]string{"web-1": "2", "web-2": "2", "web-3": "2", "web-4": "2", "web-5": "2", "web-6": "2"}
	sources := web(func(s *pool.Source) { s.Reserve, s.Maximum = 6, 6 })
	for _, one := range []bool{true, false} {
		s := &sized{cores: small, specs: map[compute.ID]compute.Spec{}}
		change := func(o *pool.Options) {
			inner := o.Open
			o.Open = func(ctx context.Context, name, typ string, def []byte) (p compute.Provider, err error) {
				s.Provider, err = inner(ctx, name, typ, def)
				return s, err
			}
		}
		inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
			must(t, second(r.Fill(ctx, "web")))
			var lost atomic.Bool
			var first atomic.Value // the one that went first
			lost.Store(true)
			r.fail = func(_, op string, id compute.ID) error {
				if op == "destroy" && lost.Load() && (first.CompareAndSwap(nil, id) || !one || first.Load() == id) {
					return &compute.Error{Kind: compute.ErrFailed, Err: errors.New("its node is lost")}
				}
				return nil
			}
			wait := func(d time.Duration) error {
				_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Cores: 4, Wait: d})
				return err
			}
			if one {
				must(t, wait(10*time.Minute))
				if n := r.webCounts(t, ctx); n.Ready != 4 || n.Discarding != 1 {
					t.Errorf("one cannot be discarded, and there are %+v", n)
				}
				return
			}
			kind(t, wait(3*time.Hour), compute.ErrTimeout)
			if n := r.webCounts(t, ctx); n.Ready != 4 || n.Discarding != 2 {
				t.Errorf("nothing can be discarded, and there are %+v", n)
			}
			lost.Store(false)
			must(t, wait(time.Hour))
		})
	}
}
