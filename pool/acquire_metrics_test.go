package pool_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/pool"
)

// TestNotifyAlone: however many are made at once, who asked for them hears of one after the other.
func TestNotifyAlone(t *testing.T) {
	inBubble(t, nil, web(func(*pool.Source) {}), func(t *testing.T, ctx context.Context, r *rig) {
		heard := map[string]int{} // by phase; without a lock
		var inside atomic.Bool
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 20, Owner: "ann", Notify: func(p compute.Progress) {
			if !inside.CompareAndSwap(false, true) {
				t.Error("it is called twice at once")
			}
			heard[p.Phase]++
			runtime.Gosched()
			inside.Store(false)
		}})
		must(t, err)
		if heard["create"] != 20 {
			t.Errorf("it heard %v", heard)
		}
	})
}

// TestSights: whoever measures hears of each request whether all stood ready, how long it took and
// waited, and why it failed; and of each instance the phases of making it. A trace has the same.
func TestSights(t *testing.T) {
	var mu sync.Mutex
	var sights []pool.Sample
	var spans []trace.EndedSpan
	change := func(o *pool.Options) {
		o.Observe = func(s pool.Sample) { mu.Lock(); defer mu.Unlock(); sights = append(sights, s) }
	}
	inBubble(t, change, web(func(s *pool.Source) { s.Maximum, s.Reserve = 1, 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		ctx = trace.With(ctx, &trace.Tracer{Send: func(d trace.EndedSpan) { mu.Lock(); defer mu.Unlock(); spans = append(spans, d) }})
		broken := errors.New("broken")
		var fail error
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "create" {
				time.Sleep(2 * time.Minute)
				return fail
			}
			return nil
		}
		fail = broken
		if _, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"}); err == nil {
			t.Error("what is broken is given")
		}
		fail = nil
		must(t, func() error { _, err := r.RunDue(ctx); return err }())
		first := r.take(t, ctx, compute.Request{}) // made for it
		done := make(chan compute.Lease)
		heard := 0
		go func() {
			done <- r.take(t, ctx, compute.Request{Wait: time.Hour, Notify: func(compute.Progress) { heard++ }})
		}()
		synctest.Wait()
		time.Sleep(10 * time.Minute)
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: time.Minute})
		kind(t, err, compute.ErrTimeout)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, first.Instance))
		second := <-done
		if heard == 0 {
			t.Error("who asked hears nothing any more")
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, second.Instance))
		r.take(t, ctx, compute.Request{}) // stands ready
		_, err = r.Acquire(ctx, compute.Request{Source: "made-up", Count: 1, Owner: "ann"})
		kind(t, err, compute.ErrNotFound)
	})
	between := func(what string, d, least, most time.Duration) {
		t.Helper()
		if d < least || d > most {
			t.Errorf("%s: d = %v; want d >= least and d <= most", what, d)
		}
	}
	var asked, made []pool.Sample
	for _, s := range sights {
		if s.What == "make" {
			made = append(made, s)
		} else {
			asked = append(asked, s)
		}
	}
	if len(made) != 2 || made[0].Class != "failed" || made[1].Class != "" || made[0].Source != "web" {
		t.Fatalf("made: %+v", made)
	}
	between("create", made[1].Phases.Create, 2*time.Minute, 3*time.Minute)
	if len(asked) != 6 {
		t.Fatalf("asked: %+v", asked)
	}
	want := []pool.Sample{
		{Source: "web", Class: "failed"}, {Source: "web", Count: 1}, {Source: "web", Class: "timed-out"},
		{Source: "web", Count: 1}, {Source: "web", Count: 1, Hit: true}, {Class: "not-found"},
	}
	for i, s := range asked {
		if s.Source != want[i].Source || s.Class != want[i].Class || s.Count != want[i].Count || s.Hit != want[i].Hit {
			t.Errorf(
				"%d: s = %+v"+
					"; want s.Source == want[i].Source and s.Class == want[i].Class and s.Count == "+
					"want[i].Count and s.Hit == want[i].Hit",
				i, s,
			)
		}
	}
	between("one that is made does not wait", asked[1].Waited, 0, 0)
	between("and takes as long as making it", asked[1].Took, 2*time.Minute, 3*time.Minute)
	between("one in vain waits", asked[2].Waited, time.Minute, 2*time.Minute)
	between("one that waits", asked[3].Waited, 10*time.Minute, 12*time.Minute)
	between("what stands ready takes no time", asked[4].Took, 0, time.Second)
	names := map[string]int{}
	for _, s := range spans {
		names[s.Name]++
		if s.Name == "wait" &&
			!slices.ContainsFunc(spans, func(up trace.EndedSpan) bool { return up.Name == "acquire" && up.Span == s.Parent }) {
			t.Errorf("it waits by itself: %+v", s)
		}
	}
	if names["acquire"] != 6 || names["wait"] != 2 || names["create"] != 2 || names["connect"] != 1 {
		t.Errorf("spans: %v", names)
	}
}
