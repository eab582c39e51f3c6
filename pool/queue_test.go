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
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

func TestQueueInOrder(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 1; s.Maximum = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		l := r.take(t, ctx, compute.Request{})
		var mu sync.Mutex
		var order []int
		places := map[int][]int{}
		var wg sync.WaitGroup
		for n := range 5 {
			time.Sleep(time.Second) // so that they come one after the other
			wg.Go(func() {
				got := r.take(t, ctx, compute.Request{Wait: time.Hour, Notify: func(p compute.Progress) {
					if p.Phase == "wait" {
						mu.Lock()
						defer mu.Unlock()
						places[n] = append(places[n], p.Position)
					}
				}})
				mu.Lock()
				order = append(order, n)
				mu.Unlock()
				time.Sleep(time.Minute)
				must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, got.Instance))
			})
			synctest.Wait()
		}
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: 10 * time.Second})
		kind(t, err, compute.ErrTimeout)
		if !strings.Contains(err.Error(), "web") || !strings.Contains(err.Error(), "10s") {
			t.Errorf("the time-out says %v", err)
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		wg.Wait()
		if !slices.IsSorted(order) || len(order) != 5 {
			t.Errorf("served in the order %v", order)
		}
		places[3] = slices.Compact(places[3])
		if !slices.Equal(places[3], []int{4, 3, 2, 1}) && !slices.Equal(places[3], []int{4, 2, 1}) {
			t.Errorf("the fourth was told the places %v", places[3])
		}
		sts, err := r.Status(ctx)
		must(t, err)
		if sts[0].Waiting != 0 {
			t.Errorf("%d still wait", sts[0].Waiting)
		}
	})
}

func TestQueueCancelled(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Maximum = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		l := r.take(t, ctx, compute.Request{})
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
		kind(t, err, compute.ErrNoCapacity) // who does not wait hears so at once
		_, err = r.Acquire(ctx, compute.Request{Source: "web", Count: 2, Owner: "ann", Wait: -1})
		kind(t, err, compute.ErrNoCapacity) // waiting would not help
		some, cancel := context.WithCancel(ctx)
		first := make(chan error, 1)
		go func() {
			_, err := r.Acquire(some, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: -1})
			first <- err
		}()
		synctest.Wait()
		second := make(chan error, 1)
		go func() {
			_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: -1})
			second <- err
		}()
		time.Sleep(time.Minute)
		cancel()
		kind(t, <-first, context.Canceled)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		must(t, <-second)
	})
}

// TestCreateFailsOnTheWay: a request for several is all or nothing, and what was made of it goes
// back.
func TestCreateFailsOnTheWay(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "web")
		must(t, err)
		r.fail = func(_, op string, id compute.ID) error {
			if op == "create" && id == "web-3" {
				return errors.New("no disk")
			}
			return nil
		}
		_, err = r.Acquire(ctx, compute.Request{Source: "web", Count: 3, Owner: "ann"})
		if err == nil || !strings.Contains(err.Error(), "no disk") || !strings.Contains(err.Error(), "web-3") {
			t.Fatalf("got %v", err)
		}
		if s := r.state(t, ctx, "web-1"); s != compute.Ready {
			t.Errorf("the cached one is %s", s)
		}
		if a, b := r.state(t, ctx, "web-2"), r.state(t, ctx, "web-3"); a != "gone" || b != "gone" {
			t.Errorf("the others are %s and %s", a, b)
		}
		ls, err := r.Leases(ctx, inventory.LeaseQuery{})
		must(t, err)
		if len(ls) != 0 {
			t.Errorf("leases are left: %v", ls)
		}
	})
}

// TestPoolOverflows: a child that cannot make its part is passed over for the next.
func TestPoolOverflows(t *testing.T) {
	inBubble(t, nil, []pool.Source{
		{Name: "cheap", Type: "fake", Digest: "d"}, {Name: "dear", Type: "fake", Digest: "d"},
		{Name: "both", Type: "pool", Digest: "d", Children: []string{"cheap", "dear"}},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		r.fail = func(source, op string, _ compute.ID) error {
			if op == "create" && source == "cheap" {
				return &compute.Error{Kind: compute.ErrNoCapacity}
			}
			return nil
		}
		if l := r.take(t, ctx, compute.Request{Source: "both"}); l.Instance != "both-dear-1" {
			t.Errorf("got %s", l.Instance)
		}
	})
}

// TestChecked: an instance that is not fit is not handed out, and another is.
func TestChecked(t *testing.T) {
	var asked []compute.ID
	inBubble(t, func(o *pool.Options) {
		o.Hooks = func(_ context.Context, c pool.HookCall) error {
			if c.Event == "check" {
				asked = append(asked, c.Instance.ID)
				if c.Instance.ID == "web-1" {
					return errors.New("its disk is full")
				}
			}
			return nil
		}
	}, web(func(s *pool.Source) { s.Reserve = 2; s.Hooks = []string{"check"} }), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "web")
		must(t, err)
		time.Sleep(time.Hour)
		if l := r.take(t, ctx, compute.Request{}); l.Instance != "web-2" {
			t.Errorf("got %s", l.Instance)
		}
		if !slices.Equal(asked, []compute.ID{"web-1", "web-2"}) {
			t.Errorf("asked about %v", asked)
		}
		if s := r.state(t, ctx, "web-1"); s != "gone" {
			t.Errorf("the unfit one is %s", s)
		}
		es, err := r.Events(ctx, inventory.EventQuery{Instance: "web-1"})
		must(t, err)
		if !slices.ContainsFunc(es, func(e compute.Event) bool { return e.Kind == "failed" && strings.Contains(e.Text, "disk is full") }) {
			t.Errorf("the journal does not say why: %v", es)
		}
	})
}

// noSlot waits in vain for a place of an instance. On a busy machine the time may be over before it
// begins to wait: then there is more of it.
func (r *rig) noSlot(t *testing.T, ctx context.Context, name compute.ID, detached func(context.Context) (int, error)) {
	t.Helper()
	for limit := 50 * time.Millisecond; ; limit *= 4 {
		short, cancel := context.WithTimeout(ctx, limit)
		_, err := r.Slot(short, name, detached)
		cancel()
		if limit < time.Minute && !errors.Is(err, compute.ErrTimeout) && errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		kind(t, err, compute.ErrTimeout)
		return
	}
}

// TestSlots: `concurrency` lets so many at once, and the next when one is done.
func TestSlots(t *testing.T) {
	r := newRig(t, t.TempDir(), nil, web(func(s *pool.Source) { s.Concurrency = 2 }), nil)
	ctx := t.Context()
	l := r.take(t, ctx, compute.Request{})
	var free []func()
	for range 2 {
		f, err := r.Slot(ctx, l.Instance, nil)
		must(t, err)
		free = append(free, f)
	}
	r.noSlot(t, ctx, l.Instance, nil)
	free[0]()
	f, err := r.Slot(ctx, l.Instance, nil)
	must(t, err)
	f()
	free[1]()
}

// TestSlotsDetached: commands that nobody holds a place for have theirs.
func TestSlotsDetached(t *testing.T) {
	r := newRig(t, t.TempDir(), nil, web(func(s *pool.Source) { s.Concurrency = 3 }), nil)
	ctx := t.Context()
	l := r.take(t, ctx, compute.Request{})
	var left atomic.Int32
	var broken error
	detached := func(context.Context) (int, error) { return int(left.Load()), broken }
	take := func() func() {
		f, err := r.Slot(ctx, l.Instance, detached)
		must(t, err)
		return f
	}
	refused := func() {
		t.Helper()
		r.noSlot(t, ctx, l.Instance, detached)
	}
	one := take()
	left.Store(1)
	two := take()
	refused()
	two()
	left.Store(2)
	refused()
	one()
	one = take()
	refused()
	left.Store(3)
	one()
	refused()
	left.Store(4) // as somebody made them before there was a limit
	refused()
	left.Store(0)
	for range 3 { // and what was tried has left no place taken
		defer take()()
	}
	refused()
	broken = compute.ErrLost
	_, err := r.Slot(ctx, r.take(t, ctx, compute.Request{}).Instance, detached)
	kind(t, err, compute.ErrLost)

	// Two who both find one place taken by a detached command, where three are: they do not wait
	// for each other.
	other := r.take(t, ctx, compute.Request{})
	var all sync.WaitGroup
	single := func(context.Context) (int, error) { return 1, nil }
	for range 8 {
		all.Go(func() {
			f, err := r.Slot(ctx, other.Instance, single)
			if err != nil {
				t.Error(err)
				return
			}
			f()
		})
	}
	all.Wait()
}

// TestRestsOn: each hand-out names the record that it rests on.
func TestRestsOn(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		l := r.take(t, ctx, compute.Request{})
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		r.take(t, ctx, compute.Request{})
		es, err := r.Events(ctx, inventory.EventQuery{Instance: l.Instance})
		must(t, err)
		byID := map[string]compute.Event{}
		var rests []string
		for _, e := range es {
			byID[fmt.Sprint(e.ID)] = e
			if e.Kind == "leased" {
				rests = append(rests, byID[e.Data["rests_on"]].Kind)
			}
		}
		if !slices.Equal(rests, []string{"made", "cleaned"}) {
			t.Errorf("the hand-outs rest on %v; the journal: %v", rests, es)
		}
	})
}

// TestTwoComeFree: of several instances that come free at once each waiter has his at once, also
// where it is known only when the first has his whether the second fits.
func TestTwoComeFree(t *testing.T) {
	big := pool.Source{Name: "big", Type: "fake", Digest: "d", Reserve: 2, Maximum: 2, Reuse: "as-is"}
	front := pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"big"}, Reserve: 2}
	for name, req := range map[string]compute.Request{
		"of a pool":      {Source: "front", Count: 1, Owner: "ann", Wait: time.Hour},
		"of a size":      {Source: "big", Count: 1, Owner: "ann", Wait: time.Hour, Memory: 1 << 10},
		"whatever it is": {Source: "big", Count: 1, Owner: "ann", Wait: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, []pool.Source{big, front}, func(t *testing.T, ctx context.Context, r *rig) {
				had, err := r.Acquire(ctx, compute.Request{Source: req.Source, Count: 2, Owner: "ann"})
				must(t, err)
				var all sync.WaitGroup
				served := make(chan time.Time, 2)
				for range 2 {
					all.Go(func() {
						_, err := r.Acquire(ctx, req)
						must(t, err)
						served <- time.Now()
					})
				}
				time.Sleep(10*time.Second + 500*time.Millisecond)
				start := time.Now()
				must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, had[0].Instance, had[1].Instance))
				all.Wait()
				for range 2 {
					if took := (<-served).Sub(start); took > 100*time.Millisecond {
						t.Errorf("one had it after %v", took)
					}
				}
			})
		})
	}
}
