package pool_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

func limits(all map[string]pool.Project) func(*pool.Options) {
	return func(o *pool.Options) { o.Projects = func(name string) pool.Project { return all[name] } }
}

// TestQuota: a project has no more than its quota; who asks for more waits behind nobody else, and
// is told why.
func TestQuota(t *testing.T) {
	inBubble(t, limits(map[string]pool.Project{
		"red":  {Quota: compute.Capacity{Count: 2}},
		"blue": {Users: compute.Capacity{Count: 1}},
		"dear": {Quota: compute.Capacity{Cost: 5}},
		"tiny": {Quota: compute.Capacity{Cores: 4, Memory: 1 << 30}},
	}), web(func(s *pool.Source) { s.Maximum = 6; s.Price = 2 }), func(t *testing.T, ctx context.Context, r *rig) {
		ask := func(project, owner string, count int, wait time.Duration, change func(*compute.Request)) ([]compute.Lease, error) {
			req := compute.Request{Source: "web", Count: count, Owner: owner, Project: project, Wait: wait}
			if change != nil {
				change(&req)
			}
			return r.Acquire(ctx, req)
		}
		says := func(err error, kind error, words string) {
			t.Helper()
			if !errors.Is(err, kind) || !strings.Contains(fmt.Sprint(err), words) {
				t.Errorf("%v, want %v and %q", err, kind, words)
			}
		}
		one, err := ask("red", "ann", 1, 0, nil)
		must(t, err)
		_, err = ask("red", "bob", 1, 0, nil)
		must(t, err)
		_, err = ask("red", "bob", 1, 0, nil)
		says(err, compute.ErrNoCapacity, "project red has 2 of 2 instances, and 1 is asked for")
		_, err = ask("red", "eve", 3, -1, nil)
		says(err, compute.ErrNoCapacity, "project red may have 2 instances, and 3 are asked for")
		_, err = ask("tiny", "eve", 1, -1, func(r *compute.Request) { r.Cores = 5 })
		says(err, compute.ErrTooLarge, "project tiny may have 4 cores, and 5 are asked for")
		_, err = ask("tiny", "eve", 1, -1, func(r *compute.Request) { r.Memory = 2 << 30 })
		says(err, compute.ErrTooLarge, "of memory")
		_, err = ask("dear", "eve", 3, -1, nil)
		says(err, compute.ErrTooLarge, "project dear may have 5 an hour, and 6 are asked for")
		two, err := ask("dear", "eve", 2, 0, nil)
		must(t, err)
		_, err = ask("dear", "eve", 1, 0, nil)
		says(err, compute.ErrNoCapacity, "project dear has 4 of 5 an hour")
		must(t, r.Release(ctx, compute.Who{Owner: "eve"}, compute.ReleaseOptions{}, two[0].Instance, two[1].Instance))

		// One of red waits, with nobody before it, and keeps none of the others waiting.
		var mu sync.Mutex
		var told []compute.Progress
		got := make(chan error, 2)
		wait := func(owner string, notify func(compute.Progress)) {
			go func() {
				_, err := ask("red", owner, 1, time.Hour, func(r *compute.Request) { r.Notify = notify })
				got <- err
			}()
			time.Sleep(3 * time.Second)
			synctest.Wait()
		}
		wait("joe", func(p compute.Progress) { mu.Lock(); defer mu.Unlock(); told = append(told, p) })
		_, err = ask("blue", "ann", 1, 0, nil)
		must(t, err)
		_, err = ask("blue", "ann", 1, 0, nil)
		says(err, compute.ErrNoCapacity, "ann in project blue has 1 of 1 instances")
		_, err = ask("blue", "bob", 1, 0, nil)
		must(t, err)
		q, err := r.Queue(ctx)
		must(t, err)
		if len(q) != 1 || q[0].Owner != "joe" || q[0].Project != "red" || q[0].Position != 1 ||
			!strings.Contains(q[0].Reason, "project red has 2 of 2") {
			t.Errorf("the queue is %+v", q)
		}
		mu.Lock()
		if n := len(told); n == 0 || !strings.Contains(told[n-1].Reason, "project red has 2 of 2") || told[n-1].Estimate == 0 {
			t.Errorf("told %+v", told)
		}
		mu.Unlock()
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, one[0].Instance))
		must(t, <-got)
	})
}

// TestQuotaHolds: however many ask at once, in however many processes, for what has still to be
// made, a project has no more than its quota.
func TestQuotaHolds(t *testing.T) {
	dir := t.TempDir()
	sources := []pool.Source{{Name: "web", Type: "fake", Digest: "d"}}
	change := limits(map[string]pool.Project{"red": {Quota: compute.Capacity{Count: 5}, Users: compute.Capacity{Count: 2}}})
	clouds := map[string]*fake.Cloud{"web": fake.NewCloud()}
	var engines []*rig
	for range 3 {
		st, err := sqlite.Open(t.Context(), filepath.Join(dir, "state.db"), sqlite.Options{})
		must(t, err)
		t.Cleanup(func() { st.Close() })
		engines = append(engines, newRigOn(t, st, clouds, sources, change))
	}
	for round := range 3 {
		var mu sync.Mutex
		by := map[string]int{}
		var all []compute.Lease
		var wg sync.WaitGroup
		for n := range 48 {
			wg.Go(func() {
				who := fmt.Sprint("u", n%4)
				ls, err := engines[n%len(engines)].Acquire(
					t.Context(), compute.Request{Source: "web", Count: 1, Owner: who, Project: "red"},
				)
				if err != nil && !errors.Is(err, compute.ErrNoCapacity) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				by[who] += len(ls)
				all = append(all, ls...)
			})
		}
		wg.Wait()
		if len(all) != 5 {
			t.Errorf("round %d: %d leases, and the quota is 5", round, len(all))
		}
		for who, n := range by {
			if n > 2 {
				t.Errorf("%s has %d, and his quota is 2", who, n)
			}
		}
		for _, l := range all {
			must(t, engines[0].Release(t.Context(), compute.Who{Owner: l.Owner}, compute.ReleaseOptions{}, l.Instance))
		}
	}
}

// TestTurns: priority first, then the project that has least, then time; and a project's highest
// priority counts.
func TestTurns(t *testing.T) {
	low := 0
	inBubble(t, limits(map[string]pool.Project{"capped": {Highest: &low}}), web(func(s *pool.Source) { s.Reserve, s.Maximum = 1, 1 }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		l := r.take(t, ctx, compute.Request{})
		var mu sync.Mutex
		var served []string
		var wg sync.WaitGroup
		for _, req := range []compute.Request{
			{Purpose: "batch 1"}, {Purpose: "batch 2"}, {Purpose: "person 1", Priority: 10},
			{Purpose: "other's batch", Project: "other"}, {Purpose: "capped", Project: "capped", Priority: 99},
			{Purpose: "person 2", Priority: 10}, {Purpose: "least", Priority: -10},
		} {
			req.Source, req.Count, req.Owner, req.Wait = "web", 1, "ann", -1
			wg.Go(func() {
				ls, err := r.Acquire(ctx, req)
				must(t, err)
				mu.Lock()
				served = append(served, req.Purpose)
				mu.Unlock()
				time.Sleep(time.Minute)
				must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, ls[0].Instance))
			})
			time.Sleep(time.Second)
			synctest.Wait()
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		wg.Wait()
		want := []string{"person 1", "person 2", "batch 1", "batch 2", "other's batch", "capped", "least"}
		if !slices.Equal(served, want) {
			t.Errorf("served %q, want %q", served, want)
		}
	})
}

// TestCancel: a request is taken out of the queue from another process, by its owner or an
// administrator, and hears by whom.
func TestCancel(t *testing.T) {
	dir := t.TempDir()
	sources := web(func(s *pool.Source) { s.Maximum = 1 })
	clouds := map[string]*fake.Cloud{"web": fake.NewCloud()}
	here := newRig(t, dir, clouds, sources, nil)
	there := newRig(t, dir, clouds, sources, nil)
	ctx := t.Context()
	here.take(t, ctx, compute.Request{})
	gone := make(chan error, 1)
	go func() {
		_, err := here.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: -1})
		gone <- err
	}()
	var q []inventory.Queued
	for len(q) == 0 {
		var err error
		q, err = there.Queue(ctx)
		must(t, err)
		time.Sleep(time.Millisecond)
	}
	kind(t, there.Cancel(ctx, compute.Who{Owner: "bob"}, q[0].ID), compute.ErrDenied)
	kind(t, there.Cancel(ctx, ann, q[0].ID+1), compute.ErrNotFound)
	must(t, there.Cancel(ctx, compute.Who{Owner: "eve", Admin: true}, q[0].ID))
	err := <-gone
	if kind(t, err, compute.ErrConflict); !strings.Contains(err.Error(), "taken out of the queue by eve") {
		t.Errorf("it hears %v", err)
	}
	if q, err := there.Queue(ctx); err != nil || len(q) != 0 {
		t.Errorf("there still wait %v %v", q, err)
	}
}

// TestQuotaOfHeld: what somebody holds aside counts as what he has, until it is discarded.
func TestQuotaOfHeld(t *testing.T) {
	inBubble(t, limits(
		map[string]pool.Project{"red": {Quota: compute.Capacity{Count: 1}}},
	), web(func(s *pool.Source) { s.Maximum = 6 }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		req := compute.Request{Source: "web", Count: 1, Owner: "ann", Project: "red"}
		ls, err := r.Acquire(ctx, req)
		must(t, err)
		must(t, r.Hold(ctx, ann, "to look at", ls[0].Instance))
		_, err = r.Acquire(ctx, req)
		kind(t, err, compute.ErrNoCapacity)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{Discard: true}, ls[0].Instance))
		_, err = r.Acquire(ctx, req)
		must(t, err)
	})
}

// TestQuotaAndTheDirector: a director is not told of requests that a quota holds back, as they may
// not have what it would make for them.
func TestQuotaAndTheDirector(t *testing.T) {
	inBubble(t, limits(
		map[string]pool.Project{"red": {Quota: compute.Capacity{Count: 1}}},
	), web(func(s *pool.Source) { s.Maximum = 2 }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		ask := func(project, owner string, wait time.Duration) ([]compute.Lease, error) {
			return r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: owner, Project: project, Wait: wait})
		}
		had, err := ask("red", "ann", 0)
		must(t, err)
		_, err = ask("", "zoe", 0)
		must(t, err)
		var all sync.WaitGroup
		for _, project := range []string{"red", ""} {
			all.Go(func() {
				_, err := ask(project, "bob", time.Minute)
				kind(t, err, compute.ErrTimeout)
			})
		}
		time.Sleep(time.Second)
		if s := r.state1(t, ctx, nil); s.Waiting != 1 {
			t.Errorf("the director hears that %d are waited for, want 1", s.Waiting)
		}
		all.Wait()
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, had[0].Instance))
	})
}

// TestManyAtOnce: 500 requests, 100 at once, for fewer instances than are asked for: none fails,
// each is told its place and, once anything is known of how long leases last, an estimate; and
// those of one user are served in the order in which they came.
func TestManyAtOnce(t *testing.T) {
	const requests, atOnce, ready = 500, 100, 10
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve, s.Maximum, s.Reuse = ready, ready, "as-is" }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		_, err := r.Fill(ctx, "web")
		must(t, err)
		for range 20 { // so that it is known
			l := r.take(t, ctx, compute.Request{})
			time.Sleep(200 * time.Millisecond)
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		}
		gate := make(chan struct{}, atOnce)
		var mu sync.Mutex
		served, inUse, placed, estimated := 0, 0, map[int]bool{}, map[int]bool{}
		waited := map[int]bool{}
		last := 0 // the newest of those who waited that was served
		var all sync.WaitGroup
		for n := range requests {
			gate <- struct{}{}
			all.Go(func() {
				defer func() { <-gate }()
				ls, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: time.Hour, Notify: func(p compute.Progress) {
					if p.Phase != "wait" {
						return
					}
					mu.Lock()
					defer mu.Unlock()
					waited[n] = true
					placed[n] = placed[n] || p.Position > 0
					estimated[n] = estimated[n] || p.Estimate > 0
				}})
				if err != nil {
					t.Errorf("request %d: %v", n, err)
					return
				}
				mu.Lock()
				served++
				if inUse++; inUse > ready {
					t.Errorf("%d are in use", inUse)
				}
				// Those that are woken together may be heard of in another order.
				if waited[n] {
					if n < last-2*ready {
						t.Errorf("request %d was served after request %d", n, last)
					}
					last = max(last, n)
				}
				mu.Unlock()
				time.Sleep(200 * time.Millisecond)
				mu.Lock()
				inUse--
				mu.Unlock()
				must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, ls[0].Instance))
			})
			time.Sleep(time.Millisecond) // so that it is known who came first
		}
		all.Wait()
		mu.Lock()
		defer mu.Unlock()
		if served != requests || len(waited) < requests-2*ready {
			t.Errorf("%d were served, of whom %d had to wait", served, len(waited))
		}
		for n := range waited {
			if !placed[n] || !estimated[n] {
				t.Errorf("request %d was told a place: %v; an estimate: %v", n, placed[n], estimated[n])
			}
		}
	})
}

// TestQuotaOfUnknownSize: instances of which nobody knows the size before they are there never put
// anybody above his quota, however many are asked for at once; what was learnt of the first counts
// for those who come later, who wait, and are not made something in vain again and again.
func TestQuotaOfUnknownSize(t *testing.T) {
	for _, c := range []struct {
		name   string
		source func(*pool.Source)
		most   int64 // made until all have theirs
	}{
		{"nobody knows", func(*pool.Source) {}, 5 + 5},
		{"it is declared", func(s *pool.Source) { s.Size = compute.Resources{Cores: 4, Memory: 8000} }, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			var made atomic.Int64
			change := func(o *pool.Options) {
				limits(map[string]pool.Project{
					"red": {Quota: compute.Capacity{Cores: 8}}, "tiny": {Quota: compute.Capacity{Memory: 7000}},
				})(o)
				withFacts(four)(o)
				open := o.Open
				o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
					p, err := open(ctx, name, typ, def)
					return slowMade{p, &made}, err
				}
			}
			inBubble(t, change, web(c.source), func(t *testing.T, ctx context.Context, r *rig) {
				var all sync.WaitGroup
				for range 5 {
					all.Go(func() {
						ls, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Project: "red", Wait: time.Hour})
						if err != nil {
							t.Errorf("it got nothing: %v", err)
							return
						}
						time.Sleep(time.Minute)
						has := 0.0
						left, err := r.Leases(ctx, inventory.LeaseQuery{})
						for _, l := range left {
							has += l.Holds.Cores
						}
						if err != nil || has > 8 {
							t.Errorf("project red has %v cores of 8, %v", has, err)
						}
						if err := r.Release(ctx, ann, compute.ReleaseOptions{}, ls[0].Instance); err != nil {
							t.Errorf("release: %v", err)
						}
					})
				}
				all.Wait()
				if made.Load() > c.most {
					t.Errorf("%d were made for 5", made.Load())
				}
				was := made.Load()
				_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "eve", Project: "tiny", Wait: time.Hour})
				kind(t, err, compute.ErrTooLarge)
				if made.Load() != was {
					t.Error("one was made that could be known to be too large")
				}
			})
		})
	}
}

// slowMade takes a while to make a computer.
type slowMade struct {
	compute.Provider
	made *atomic.Int64
}

func (s slowMade) Unwrap() compute.Provider { return s.Provider }

func (s slowMade) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	s.made.Add(1)
	time.Sleep(20 * time.Second) // in a bubble: a boot takes time
	return s.Provider.Create(ctx, spec)
}
