package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// TestFullIsNotBroken: a provider without room lets requests wait, and opens no breaker.
func TestFullIsNotBroken(t *testing.T) {
	inBubble(t, nil, web(func(*pool.Source) {}), func(t *testing.T, ctx context.Context, r *rig) {
		var roomy atomic.Bool
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "create" && !roomy.Load() {
				return &compute.Error{Kind: compute.ErrNoCapacity, Err: errors.New("the hall is full")}
			}
			return nil
		}
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
		kind(t, err, compute.ErrNoCapacity)
		if !strings.Contains(err.Error(), "hall is full") {
			t.Errorf("the reason is not told: %v", err)
		}
		for range 5 {
			_, err = r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: 10 * time.Second})
			kind(t, err, compute.ErrTimeout)
		}
		sts, err := r.Status(ctx)
		must(t, err)
		if sts[0].Failures != 0 {
			t.Errorf("%d failures are counted", sts[0].Failures)
		}
		done := make(chan error, 1)
		go func() {
			_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: time.Hour})
			done <- err
		}()
		time.Sleep(time.Minute)
		roomy.Store(true)
		start := time.Now()
		must(t, <-done)
		// the longest pause between two looks
		if d := time.Since(start); d > time.Minute+time.Second {
			t.Errorf("it had it %v after there was room", d)
		}
	})
}

// TestWaiterForOneChild does not keep a pool from the others.
func TestWaiterForOneChild(t *testing.T) {
	inBubble(t, nil, []pool.Source{
		{Name: "a", Type: "fake", Digest: "d", Maximum: 1}, {Name: "b", Type: "fake", Digest: "d", Maximum: 1},
		{Name: "both", Type: "pool", Digest: "d", Children: []string{"a", "b"}},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		l := r.take(t, ctx, compute.Request{Source: "a"})
		done := make(chan error, 1)
		go func() {
			_, err := r.Acquire(ctx, compute.Request{Source: "a", Count: 1, Owner: "bob", Wait: time.Hour})
			done <- err
		}()
		synctest.Wait()
		if got := r.take(t, ctx, compute.Request{Source: "both"}); got.Instance != "both-b-1" {
			t.Errorf("got %s", got.Instance)
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		must(t, <-done)
	})
}

// TestBreakerOfPool: a pool whose own set-up fails is paused too, and its children are not made in
// vain for ever.
func TestBreakerOfPool(t *testing.T) {
	inBubble(t, func(o *pool.Options) {
		o.Hooks = func(context.Context, pool.HookCall) error { return errors.New("no such package") }
	}, []pool.Source{
		{Name: "web", Type: "fake", Digest: "d"}, {
			Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}, Hooks: []string{"provision"},
		},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		var last error
		for range 20 {
			_, last = r.Acquire(ctx, compute.Request{Source: "front", Count: 1, Owner: "ann"})
			time.Sleep(time.Second)
		}
		if n := r.fakes["web"].Made(); n > 5 {
			t.Errorf("%d were made within 20 s", n)
		}
		if last == nil || !strings.Contains(last.Error(), "no such package") {
			t.Errorf("the reason is not told: %v", last)
		}
		r.take(t, ctx, compute.Request{Source: "web"}) // the child is not to blame
	})
}

// TestHooksAtEachHandOut: those of a child run also when the pool in front kept it.
func TestHooksAtEachHandOut(t *testing.T) {
	var ran []string
	inBubble(t, func(o *pool.Options) {
		o.Hooks = func(_ context.Context, c pool.HookCall) error {
			ran = append(ran, fmt.Sprint(c.Event, " ", c.Source, " ", c.Instance.ID))
			return nil
		}
	}, []pool.Source{
		{Name: "web", Type: "fake", Digest: "d", Hooks: []string{"acquire", "release"}},
		{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}, Reserve: 1, Hooks: []string{"acquire"}},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		for range 2 {
			l := r.take(t, ctx, compute.Request{Source: "front"})
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		}
		round := []string{"acquire web web-1", "acquire front front-web-1", "release web web-1"}
		if want := slices.Concat(round, round); !slices.Equal(ran, want) {
			t.Errorf("ran %q, want %q", ran, want)
		}
	})
}

// TestRedefined: an edited source keeps to its maximum, and what was cached by the older definition
// goes.
func TestRedefined(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	source := func(digest string) []pool.Source {
		return []pool.Source{{
			Name: "web", Type: "fake", Digest: digest, Place: "/home/ann", Maximum: 2, Reserve: 2,
			Hooks: []string{"discard"}, Definition: []byte(digest),
		}}
	}
	var ran []string
	hooks := func(o *pool.Options) {
		o.Kept = func(def []byte) ([]string, string, time.Duration) { return []string{"discard"}, "", 0 }
		o.Hooks = func(_ context.Context, c pool.HookCall) error {
			ran = append(ran, fmt.Sprint(c.Event, " ", c.Instance.ID, " ", string(c.Definition)))
			return nil
		}
	}
	old := newRig(t, dir, nil, source("1"), hooks)
	l := old.take(t, ctx, compute.Request{})
	_, err := old.Fill(ctx, "web")
	must(t, err)
	edited := newRig(t, dir, old.clouds, source("2"), hooks)
	next := edited.take(t, ctx, compute.Request{})
	if next.Instance != "web-3" || edited.state(t, ctx, "web-2") != "gone" {
		t.Errorf("got %s, and web-2 is %s", next.Instance, edited.state(t, ctx, "web-2"))
	}
	_, err = edited.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
	kind(t, err, compute.ErrNoCapacity)
	must(t, edited.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
	if want := []string{"discard web-2 1", "discard web-1 1"}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q: by the definition that they were made by", ran, want)
	}
}

// TestNamesMeet: a pool's name for an instance may be taken by another source's.
func TestNamesMeet(t *testing.T) {
	inBubble(t, nil, []pool.Source{
		{Name: "y", Type: "fake", Digest: "d"}, {Name: "x-y", Type: "fake", Digest: "d"},
		{Name: "x", Type: "pool", Digest: "d", Children: []string{"y"}},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		if l := r.take(t, ctx, compute.Request{Source: "x-y"}); l.Instance != "x-y-1" {
			t.Fatalf("got %s", l.Instance)
		}
		if l := r.take(t, ctx, compute.Request{Source: "x"}); l.Instance != "x-y-2" {
			t.Errorf("got %s", l.Instance)
		}
	})
}

// TestNameTaken: a request whose name is taken is refused before a computer is made for it.
func TestNameTaken(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Maximum = 3 }), func(t *testing.T, ctx context.Context, r *rig) {
		r.take(t, ctx, compute.Request{Source: "web", Name: "build"})
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Name: "build"})
		kind(t, err, compute.ErrConflict)
		made, err := r.Events(ctx, inventory.EventQuery{})
		must(t, err)
		for _, e := range made {
			if e.Instance == "web-2" {
				t.Errorf("web-2 was begun for it: %s", e.Kind)
			}
		}
	})
}

// TestExtendAllOrNone: one refusal leaves the others as they were.
func TestExtendAllOrNone(t *testing.T) {
	inBubble(t, nil, []pool.Source{
		{Name: "long", Type: "fake", Digest: "d", MaxTTL: 10 * time.Hour},
		{Name: "short", Type: "fake", Digest: "d", MaxTTL: 2 * time.Hour},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		a := r.take(t, ctx, compute.Request{Source: "long", TTL: time.Hour})
		b := r.take(t, ctx, compute.Request{Source: "short", TTL: time.Hour})
		_, err := r.Extend(ctx, ann, 5*time.Hour, a.Instance, b.Instance)
		kind(t, err, compute.ErrInvalid)
		l, err := r.Authorize(ctx, ann, a.Instance)
		must(t, err)
		if l.TTL != time.Hour {
			t.Errorf("one of them has %v", l.TTL)
		}
	})
}

// TestSourceTestMakes a new one, and leaves the cache alone.
func TestSourceTestMakes(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "web")
		must(t, err)
		res, err := r.Test(ctx, "web")
		must(t, err)
		if res.Instance != "web-2" || r.state(t, ctx, "web-1") != compute.Ready || r.state(t, ctx, "web-2") != "gone" {
			t.Errorf("it tried %s; web-1 is %s, web-2 %s", res.Instance, r.state(t, ctx, "web-1"), r.state(t, ctx, "web-2"))
		}
	})
}

// forbidden is a provider that knows all that it may not do.
type forbidden struct{ compute.Provider }

func (f forbidden) Unwrap() compute.Provider { return f.Provider }
func (forbidden) Probe(context.Context, compute.Spec) (string, error) {
	return "", &compute.Error{Kind: compute.ErrDenied, Err: errors.New("we may not create, list pods")}
}

// TestSourceTestAsks what is not allowed before it makes anything.
func TestSourceTestAsks(t *testing.T) {
	wrap := func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			return forbidden{p}, err
		}
	}
	inBubble(t, wrap, web(func(*pool.Source) {}), func(t *testing.T, ctx context.Context, r *rig) {
		res, err := r.Test(ctx, "web")
		kind(t, err, compute.ErrDenied)
		if res.Instance != "" || !strings.Contains(err.Error(), "we may not create, list pods") {
			t.Errorf("it made %q: %v", res.Instance, err)
		}
	})
}

// slowly is a provider whose creations may come true after their askers died.
type slowly struct{ compute.Provider }

func (slowly) CreateLag() time.Duration { return time.Minute }

// TestLostCreation: a computer that comes to be after the death of who asked for it is found and
// unmade, whether its record is still there or not.
func TestLostCreation(t *testing.T) {
	wrap := func(o *pool.Options) {
		o.Inventory = true
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			return slowly{p}, err
		}
	}
	inBubble(t, wrap, web(func(*pool.Source) {}), func(t *testing.T, ctx context.Context, r *rig) {
		must(t, r.store.Update(ctx, func(tx store.Tx) error { // as a dead process left it
			rec := &store.SourceRecord{Name: "web", Digest: "d", Type: "fake"}
			if err := tx.SaveSource(rec); err != nil {
				return err
			}
			_, err := tx.NextNumber("web")
			return errors.Join(err, tx.SaveInstance(&compute.Instance{ID: "web-1", Source: "web", SourceKey: rec.Key,
				State: compute.Creating, Work: compute.Work{Worker: 12345},
				Created: time.Now(), Since: time.Now()}))
		}))
		_, err := r.RunDue(ctx)
		must(t, err)
		if s := r.state(t, ctx, "web-1"); s != compute.Discarding {
			t.Fatalf("it is %s, and may still come to be", s)
		}
		_, err = r.fakes["web"].Create(ctx, compute.Spec{ID: "web-1", Source: "web", Installation: r.store.Installation()})
		must(t, err)
		for range 15 {
			time.Sleep(5 * time.Second)
			_, err = r.RunDue(ctx)
			must(t, err)
		}
		if s := r.state(t, ctx, "web-1"); s != "gone" || len(r.clouds["web"].IDs()) != 0 {
			t.Errorf("the record is %s, and there are %v", s, r.clouds["web"].IDs())
		}
		// One that comes later still is found by its provider's list.
		_, err = r.fakes["web"].Create(ctx, compute.Spec{ID: "web-1", Source: "web", Installation: r.store.Installation()})
		must(t, err)
		time.Sleep(time.Hour)
		_, err = r.RunDue(ctx)
		must(t, err)
		if there := r.clouds["web"].IDs(); len(there) != 0 {
			t.Errorf("there are %v", there)
		}
	})
}

// TestSlotsBehindPools: a child's `concurrency` holds for who comes through a pool.
func TestSlotsBehindPools(t *testing.T) {
	r := newRig(t, t.TempDir(), nil, []pool.Source{
		{Name: "web", Type: "fake", Digest: "d", Concurrency: 1}, {Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}},
	}, nil)
	l := r.take(t, t.Context(), compute.Request{Source: "front"})
	free, err := r.Slot(t.Context(), l.Instance, nil)
	must(t, err)
	r.noSlot(t, t.Context(), l.Instance, nil)
	free()
	free, err = r.Slot(t.Context(), l.Instance, nil)
	must(t, err)
	free()
}

// TestPutDown: what this process was at work on and could not record the end of is not lost for as
// long as it lives.
func TestPutDown(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Maximum = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		l := r.take(t, ctx, compute.Request{})
		some, cancel := context.WithCancel(ctx)
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "destroy" {
				cancel()
			}
			return nil
		}
		_ = r.Release(some, ann, compute.ReleaseOptions{}, l.Instance)
		r.fail = nil
		r.take(t, ctx, compute.Request{Wait: time.Minute})

		// As when the store could not take the end of it.
		must(t, r.store.Update(ctx, func(tx store.Tx) error {
			i, err := tx.Instance("web-2")
			if err != nil {
				return err
			}
			l, err := tx.LeaseOf("web-2")
			if err != nil {
				return err
			}
			l.Worker = r.store.Worker()
			i.Reason = "put down"
			return errors.Join(tx.SaveLease(l), tx.SaveInstance(i))
		}))
		r.take(t, ctx, compute.Request{Wait: time.Minute})
	})
}
