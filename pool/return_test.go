package pool_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// heralding is a provider that says when there is news of its place.
type heralding struct {
	overseen
	heed *func()
}

func (h heralding) Heed(f func()) { *h.heed = f }

// atDoor runs a test on a source whose place says when there is news, with what is due done as a
// controller does it: when more is known to be due, and when it is told.
func atDoor(t *testing.T, f func(t *testing.T, ctx context.Context, r *rig, a *venue, tell func())) {
	a, heed := &venue{}, func() {}
	change := func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return heralding{overseen{p, a}, &heed}, err
		}
	}
	inBubble(t, change, []pool.Source{{
		Name: "a", Type: "fake", Digest: "d", Reserve: 2, Maximum: 4, Reuse: "no",
	}}, func(t *testing.T, ctx context.Context, r *rig) {
		ctx, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		bell := make(chan struct{}, 1)
		all.Go(func() {
			for ctx.Err() == nil {
				next, _ := r.Reconcile(ctx, pool.ReconcileOptions{Go: all.Go, Failed: func(error) {}, Done: func() {
					select {
					case bell <- struct{}{}:
					default:
					}
				}})
				if next.IsZero() {
					next = time.Now().Add(time.Minute)
				}
				select {
				case <-ctx.Done():
				case <-bell:
					time.Sleep(10 * time.Millisecond)
				case <-time.After(time.Until(next)):
				}
			}
		})
		defer all.Wait()
		defer stop()
		_, err := r.Fill(ctx, "a")
		must(t, err)
		f(t, ctx, r, a, func() { heed() })
	})
}

// TestReturn: a place that says at once that it does not answer is known not to from then until it
// is back, since when and why; who asks then is told that, and not who has what, nor how long it
// will be. When it is back what failed meanwhile is done at once, and nothing is left of why it
// failed.
func TestReturn(t *testing.T) {
	atDoor(t, func(t *testing.T, ctx context.Context, r *rig, a *venue, tell func()) {
		for range 3 { // so that there is something to guess from
			l := r.take(t, ctx, compute.Request{Source: "a"})
			time.Sleep(time.Minute)
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
			time.Sleep(time.Minute)
			_, err := r.Fill(ctx, "a")
			must(t, err)
		}
		mine := r.take(t, ctx, compute.Request{Source: "a"})
		time.Sleep(time.Minute)
		a.set(true, nil)
		tell()
		since := time.Now()
		time.Sleep(2 * time.Second)
		// which fails, as it is to
		_ = r.Release(ctx, ann, compute.ReleaseOptions{Discard: true}, mine.Instance)
		waits, give := context.WithCancel(ctx)
		var all sync.WaitGroup
		all.Go(func() {
			_, err := r.Acquire(waits, compute.Request{Source: "a", Owner: "ann", Count: 4, Wait: time.Hour})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("who waits is given something: %v", err)
			}
		})
		for time.Since(since) < 10*time.Minute {
			time.Sleep(time.Second)
			s := r.status(t, ctx, "a")
			text, ok := strings.CutPrefix(s.LastError, "it cannot be reached since ")
			if len(text) < 20 || !ok || !strings.Contains(text[20:], "no route to host") {
				t.Fatalf("after %v: %q", time.Since(since), s.LastError)
			}
			if s.Unreachable.Sub(since).Abs() > 2*time.Second {
				t.Fatalf("unreachable since %v, and it fell away at %v", s.Unreachable, since)
			}
			if at, err := time.Parse(time.RFC3339, text[:20]); err != nil || at.Sub(since).Abs() > 2*time.Second {
				t.Fatalf("after %v it is away since %v: %v", time.Since(since), at.Sub(since), err)
			}
		}
		if q, err := r.Queue(ctx); err != nil || len(q) != 1 || q[0].Estimate != 0 || !strings.Contains(q[0].Reason, "cannot be reached") {
			t.Errorf("the queue: %+v, %v", q, err)
		}
		_, err := r.Acquire(ctx, compute.Request{Source: "a", Owner: "ann", Count: 1})
		if kind(t, err, compute.ErrUnavailable); !strings.Contains(err.Error(), "cannot be reached") ||
			strings.Contains(err.Error(), "others wait") {
			t.Errorf("who does not wait is told %v", err)
		}
		give()
		all.Wait()
		if i, _, err := r.Resolve(ctx, string(mine.Instance)); err != nil || i.State != compute.Discarding ||
			!strings.Contains(i.Why(), "no route to host") {
			t.Errorf("what was given back: %+v, %v", i, err)
		}
		a.set(false, nil)
		tell()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := r.status(t, ctx, "a"); s.LastError != "" || s.Counts.Discarding != 0 {
			t.Errorf("2 s after it is back: %+v", s)
		}
		events, err := r.Events(ctx, compute.EventQuery{Instance: mine.Instance})
		must(t, err)
		if last := events[len(events)-1]; last.Kind != "gone" || strings.Contains(last.Text, "no route") {
			t.Errorf("it ended with %+v", last)
		}
	})
}

// TestEndedTold: what has ended is known a moment after its place says that there is news.
func TestEndedTold(t *testing.T) {
	atDoor(t, func(t *testing.T, ctx context.Context, r *rig, a *venue, tell func()) {
		mine := r.take(t, ctx, compute.Request{Source: "a"})
		time.Sleep(time.Minute)
		a.set(false, map[compute.ID]string{mine.Instance: "evicted: no memory"})
		tell()
		time.Sleep(overseeSoon)
		synctest.Wait()
		if _, err := r.Connect(ctx, ann, mine.Instance); !errors.Is(err, compute.ErrNotLeased) ||
			!strings.Contains(err.Error(), "evicted: no memory") {
			t.Errorf("whose it was is told %v", err)
		}
	})
}

const overseeSoon = time.Second
