package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

var errHall = &compute.Error{Kind: compute.ErrNoCapacity, Err: errors.New("the hall is full")}

// TestFullIsTriedEverMoreSeldom: who waits for a place without room is told why, in the queue, on
// its way and at its end, and few computers are made in vain for him.
func TestFullIsTriedEverMoreSeldom(t *testing.T) {
	inBubble(t, nil, web(func(*pool.Source) {}), func(t *testing.T, ctx context.Context, r *rig) {
		var tries []time.Time
		start := time.Now()
		r.fail = func(_, op string, id compute.ID) error {
			if op == "create" {
				tries = append(tries, time.Now())
				return fmt.Errorf("%s: %w", id, errHall)
			}
			return nil
		}
		var mu sync.Mutex
		var heard []string
		done := make(chan error, 1)
		go func() {
			_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: 10 * time.Minute, Notify: func(p compute.Progress) {
				mu.Lock()
				defer mu.Unlock()
				if p.Phase == "wait" {
					heard = append(heard, p.Reason)
				}
			}})
			done <- err
		}()
		time.Sleep(5*time.Minute + time.Second)
		queue, err := r.Queue(ctx)
		must(t, err)
		if len(queue) != 1 || !strings.Contains(queue[0].Reason, "hall is full") {
			t.Errorf("the queue is %+v", queue)
		}
		err = <-done
		kind(t, err, compute.ErrTimeout)
		if !strings.Contains(err.Error(), "hall is full") {
			t.Errorf("in the end he is told: %v", err)
		}
		if !slices.ContainsFunc(heard, func(s string) bool { return strings.Contains(s, "hall is full") }) {
			t.Errorf("meanwhile he was told %q", heard)
		}
		if n := len(tries); n < 10 || n > 16 {
			t.Errorf("it was tried %d times in ten minutes", n)
		}
		for n, at := range tries[1:] {
			if gap := at.Sub(tries[n]); gap > 70*time.Second || at.Sub(start) > 3*time.Minute && gap < 30*time.Second {
				t.Errorf("after %v it was tried %v after the last time", at.Sub(start), gap)
			}
		}
	})
}

// TestFullIsTriedByOne: of many who wait one finds out for all whether there is room again, and
// then all have it.
func TestFullIsTriedByOne(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Maximum = 30 }), func(t *testing.T, ctx context.Context, r *rig) {
		var roomy atomic.Bool
		var busy, most, tries atomic.Int64
		var began atomic.Bool
		r.fail = func(_, op string, _ compute.ID) error {
			if op != "create" {
				return nil
			}
			n := busy.Add(1)
			defer busy.Add(-1)
			time.Sleep(3 * time.Second)
			if roomy.Load() {
				return nil
			}
			if began.Load() {
				tries.Add(1)
				most.Store(max(n, most.Load()))
			}
			return errHall
		}
		done := make(chan error, 20)
		for range cap(done) {
			go func() {
				_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: time.Hour})
				done <- err
			}()
		}
		time.Sleep(4 * time.Second)
		began.Store(true) // all that came at once have had their answer
		time.Sleep(10 * time.Minute)
		if n := most.Load(); n != 1 {
			t.Errorf("%d tried at once", n)
		}
		if n := tries.Load(); n < 5 || n > 16 {
			t.Errorf("it was tried %d times in ten minutes", n)
		}
		roomy.Store(true)
		start := time.Now()
		for range cap(done) {
			must(t, <-done)
		}
		if d := time.Since(start); d > 75*time.Second {
			t.Errorf("all had theirs %v after there was room", d)
		}
	})
}

// TestFullUntilFreed: what goes of what a source has ends its pause at once.
func TestFullUntilFreed(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reuse = "no" }), func(t *testing.T, ctx context.Context, r *rig) {
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "create" && len(r.clouds["web"].IDs()) > 0 {
				return errHall
			}
			return nil
		}
		l := r.take(t, ctx, compute.Request{})
		done := make(chan compute.Lease, 1)
		go func() { done <- r.take(t, ctx, compute.Request{Wait: time.Hour}) }()
		time.Sleep(10*time.Minute + 10*time.Second)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		start := time.Now()
		<-done
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("it was tried %v after there was room", d)
		}
	})
}

// TestFullMakesLittleAhead: what is kept ready is not made many at a time where it is not known
// whether there is room.
func TestFullMakesLittleAhead(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 10 }), func(t *testing.T, ctx context.Context, r *rig) {
		var n atomic.Int64
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "create" {
				n.Add(1)
				return errHall
			}
			return nil
		}
		_, err := r.Fill(ctx, "web")
		kind(t, err, compute.ErrNoCapacity)
		time.Sleep(time.Minute)
		was := n.Load()
		_, err = r.Fill(ctx, "web")
		kind(t, err, compute.ErrNoCapacity)
		if n.Load() != was+1 {
			t.Errorf("%d were tried", n.Load()-was)
		}
		r.fail = nil
		for range 2 {
			time.Sleep(time.Minute)
			_, err = r.Fill(ctx, "web")
			must(t, err)
		}
		if sts, err := r.Status(ctx); err != nil || sts[0].Counts.Ready != 10 || sts[0].Failures != 0 {
			t.Errorf("in the end: %+v %v", sts, err)
		}
	})
}

// TestSlowIsExplained: who waits for a computer to answer is told what the provider says of it.
func TestSlowIsExplained(t *testing.T) {
	inBubble(t, nil, web(func(*pool.Source) {}), func(t *testing.T, ctx context.Context, r *rig) {
		start := time.Now()
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "connect" && time.Since(start) < 10*time.Second {
				return &compute.Error{Op: "x.Connect", Kind: compute.ErrNotReady, Err: errors.New("no node takes it yet")}
			}
			return nil
		}
		var heard []string
		r.take(t, ctx, compute.Request{Notify: func(p compute.Progress) {
			heard = append(heard, p.Phase+":"+p.Reason)
		}})
		synctest.Wait()
		if got := strings.Join(heard, " "); got != "create: connect: connect:no node takes it yet" {
			t.Errorf("he was told %q", got)
		}
	})
}
