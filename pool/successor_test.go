package pool_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// TestHandOver: who waits when another configuration comes keeps his place before those who come
// after, is served by the new one at once, and for no longer than he wanted to wait.
func TestHandOver(t *testing.T) {
	for name, digest := range map[string]string{"defined as before": "d", "defined otherwise": "e"} {
		t.Run(name, func(t *testing.T) {
			desk := &pool.Inflight{}
			share := func(o *pool.Options) { o.Inflight = desk }
			one := web(func(s *pool.Source) { s.Maximum = 1 })
			inBubble(t, share, one, func(t *testing.T, ctx context.Context, r *rig) {
				had := r.take(t, ctx, compute.Request{})
				var mu sync.Mutex
				var order []string
				var all sync.WaitGroup
				ask := func(on *rig, who string) {
					all.Go(func() {
						ls, err := on.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: who, Wait: time.Hour})
						must(t, err)
						mu.Lock()
						order = append(order, who)
						mu.Unlock()
						must(t, on.Release(ctx, compute.Who{Owner: who}, compute.ReleaseOptions{}, ls[0].Instance))
					})
					time.Sleep(time.Second)
				}
				ask(r, "bob")
				ask(r, "eve")
				tired := make(chan error, 1)
				all.Go(func() {
					_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "joe", Wait: 10 * time.Second})
					tired <- err
				})
				time.Sleep(8 * time.Second)
				later := newRigOn(t, r.store, r.clouds, web(func(s *pool.Source) { s.Maximum, s.Digest = 1, digest }), share)
				r.HandOver(later.Pool)
				ask(later, "zoe")
				time.Sleep(4 * time.Second)
				select {
				case err := <-tired:
					kind(t, err, compute.ErrTimeout)
				default:
					t.Error("who waits for ten seconds waits for longer, as the configuration was read anew")
				}
				q, err := later.Queue(ctx)
				must(t, err)
				var waiting []string
				for _, w := range q {
					waiting = append(waiting, w.Owner)
				}
				if !slices.Equal(waiting, []string{"bob", "eve", "zoe"}) {
					t.Errorf("%v wait", waiting)
				}
				start := time.Now()
				must(t, later.Release(ctx, ann, compute.ReleaseOptions{}, had.Instance))
				all.Wait()
				if !slices.Equal(order, []string{"bob", "eve", "zoe"}) {
					t.Errorf("served were %v", order)
				}
				if took := time.Since(start); took > 500*time.Millisecond {
					t.Errorf("all had it after %v", took)
				}
			})
		})
	}
}

// TestHandOverOfWhatIsGone: who waits for a source that is configured no more is told so, and waits
// for nothing.
func TestHandOverOfWhatIsGone(t *testing.T) {
	desk := &pool.Inflight{}
	share := func(o *pool.Options) { o.Inflight = desk }
	inBubble(t, share, web(func(s *pool.Source) { s.Maximum = 2 }), func(t *testing.T, ctx context.Context, r *rig) {
		for range 2 {
			r.take(t, ctx, compute.Request{})
		}
		for name, c := range map[string]struct {
			sources []pool.Source
			want    error
		}{
			"gone":  {[]pool.Source{{Name: "other", Type: "fake", Digest: "d"}}, compute.ErrNotFound},
			"small": {web(func(s *pool.Source) { s.Maximum = 1 }), compute.ErrNoCapacity},
		} {
			old := newRigOn(t, r.store, r.clouds, web(func(s *pool.Source) { s.Maximum = 2 }), share)
			heard := make(chan error, 1)
			go func() {
				_, err := old.Acquire(ctx, compute.Request{Source: "web", Count: 2, Owner: "bob", Wait: -1})
				heard <- err
			}()
			time.Sleep(2 * time.Second)
			old.HandOver(newRigOn(t, r.store, r.clouds, c.sources, share).Pool)
			synctest.Wait()
			select {
			case err := <-heard:
				kind(t, err, c.want)
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: he waits on", name)
			}
			must(t, r.store.View(ctx, func(tx store.Tx) error {
				ws, err := tx.Waiters()
				if len(ws) != 0 {
					t.Errorf("%s: %d are in the queue", name, len(ws))
				}
				return err
			}))
		}
	})
}
