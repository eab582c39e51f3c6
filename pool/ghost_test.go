package pool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// unsure is a store whose answer to the next transaction of a kind is lost: what it did is done.
type unsure struct {
	pool.Store
	lose atomic.Pointer[string] // "join" or "leave"; nil: nothing
}

var errContact = errors.New("contact was lost before the answer came")

func (u *unsure) Update(ctx context.Context, fn func(store.Tx) error) error {
	seen := &seeing{}
	err := u.Store.Update(ctx, func(tx store.Tx) error {
		*seen = seeing{Tx: tx}
		return fn(seen)
	})
	if op := u.lose.Load(); err == nil && op != nil && *op == seen.op {
		u.lose.Store(nil)
		return errContact
	}
	return err
}

// seeing notes what a transaction does to the queue.
type seeing struct {
	store.Tx
	op string
}

func (s *seeing) Join(w *inventory.Waiter) error { s.op = "join"; return s.Tx.Join(w) }

func (s *seeing) Leave(id int64) error { s.op = "leave"; return s.Tx.Leave(id) }

// TestGhost: a request of which the store did not say whether it came into the queue, or left it,
// keeps nobody waiting.
func TestGhost(t *testing.T) {
	for _, op := range []string{"join", "leave"} {
		t.Run(op, func(t *testing.T) {
			st := &unsure{}
			inBubble(t, func(o *pool.Options) { st.Store = o.Store; o.Store = st }, web(
				func(s *pool.Source) { s.Maximum, s.Reserve = 1, 1 },
			), func(
				t *testing.T, ctx context.Context, r *rig,
			) {
				had := r.take(t, ctx, compute.Request{})
				st.lose.Store(&op)
				_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "bob", Wait: time.Minute})
				kind(t, err, errContact)
				status, err := r.Status(ctx)
				must(t, err)
				if status[0].Waiting != 0 {
					t.Errorf("%d wait", status[0].Waiting)
				}
				served := make(chan error, 1)
				go func() {
					_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "eve", Wait: time.Hour})
					served <- err
				}()
				time.Sleep(10 * time.Second)
				must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, had.Instance))
				synctest.Wait()
				time.Sleep(50 * time.Millisecond)
				select {
				case err := <-served:
					must(t, err)
				default:
					t.Error("eve waits behind a request for which nobody waits")
				}
				// Another process sees none either, as soon as this one has looked.
				_, err = r.RunDue(ctx)
				must(t, err)
				must(t, r.store.View(ctx, func(tx store.Tx) error {
					ws, err := tx.Waiters()
					if len(ws) != 0 {
						t.Errorf("%d are in the queue", len(ws))
					}
					return err
				}))
			})
		})
	}
}
