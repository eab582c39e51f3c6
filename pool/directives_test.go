package pool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

func (r *rig) state1(t *testing.T, ctx context.Context, idlers func(plan.SourceState) bool) plan.SourceState {
	t.Helper()
	snap, err := r.Snapshot(ctx, idlers)
	must(t, err)
	for _, s := range snap.Sources {
		if s.Name == "web" {
			return s
		}
	}
	t.Fatal("no such source in the snapshot")
	return plan.SourceState{}
}

func all(plan.SourceState) bool { return true }

// do does a directive to its end, and tells whether there was anything to do.
func (r *rig) do(t *testing.T, ctx context.Context, d plan.Directive) bool {
	t.Helper()
	d.Source, d.Reason = "web", "a test"
	finish, err := r.Do(ctx, d)
	must(t, err)
	if finish != nil {
		must(t, finish(ctx))
	}
	return finish != nil
}

func TestSnapshot(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) {
		s.Reserve, s.Spare, s.Maximum, s.Idle, s.Window = 1, 2, 9, time.Minute, time.Hour
	}), func(t *testing.T, ctx context.Context, r *rig) {
		if s := r.state1(t, ctx, all); s.Reserve != 1 || s.Spare != 2 || s.Maximum != 9 || s.Idle != time.Minute ||
			s.Counts != (inventory.Counts{}) || s.Idlers != nil {
			t.Errorf("at first %+v", s)
		}
		a, b, c := r.take(t, ctx, compute.Request{}), r.take(t, ctx, compute.Request{}), r.take(t, ctx, compute.Request{})
		time.Sleep(10 * time.Minute)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, b.Instance))
		time.Sleep(time.Minute)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, a.Instance))
		time.Sleep(30 * time.Second)
		s := r.state1(t, ctx, all)
		if s.Counts != (inventory.Counts{Ready: 2, Leased: 1}) || s.Present != 3 || len(s.Idlers) != 2 ||
			s.Idlers[0].ID != b.Instance || s.Idlers[1].ID != a.Instance || s.Tired != 1 {
			t.Errorf("s = %+v", s)
		}
		if s.Demand.Given != 3 || s.Demand.Held < 10*time.Minute || s.Demand.Held > 11*time.Minute || s.Demand.Window != time.Hour {
			t.Errorf(
				"s.Demand = %+v"+
					"; want s.Demand.Given == 3 and s.Demand.Held >= 10*time.Minute and s.Demand.Held <= "+
					"11*time.Minute and s.Demand.Window == time.Hour",
				s.Demand,
			)
		}
		if again := r.state1(t, ctx, nil); again.Idlers != nil || again.Demand != s.Demand {
			t.Errorf("again %+v", again)
		}
		time.Sleep(2 * time.Hour)
		if s := r.state1(t, ctx, nil); s.Demand.Given != 0 {
			t.Errorf("two hours later %+v", s.Demand)
		}
		// Looking keeps nothing alive: it is the same instance, idle for as long as it is.
		if s := r.state1(t, ctx, all); s.Idlers[0].ID != b.Instance || time.Since(s.Idlers[0].Since) < 2*time.Hour {
			t.Errorf(
				"s.Idlers = %+v"+
					"; want s.Idlers[0].ID == b.Instance and time.Since(s.Idlers[0].Since) >= 2*time.Hour",
				s.Idlers,
			)
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, c.Instance))
	})
}

// TestSnapshotCountsTheOthers: what an older definition of a source has takes places, requests that
// wait are counted, and so is what is made for them.
func TestSnapshotCountsTheOthers(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Maximum = 3 }), func(t *testing.T, ctx context.Context, r *rig) {
		r.take(t, ctx, compute.Request{})
		later := newRigOn(t, r.store, r.clouds, web(func(s *pool.Source) { s.Maximum, s.Digest = 3, "e" }), nil)
		if s := later.state1(t, ctx, nil); s.Present != 1 || s.Counts.Leased != 0 {
			t.Errorf("s = %+v; want s.Present == 1 and s.Counts.Leased == 0", s)
		}
		hold := make(chan struct{})
		later.fail = func(_, op string, _ compute.ID) error {
			if op == "create" {
				<-hold
			}
			return nil
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		ended := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := later.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "bob", Wait: time.Hour})
				ended <- err
			}()
		}
		time.Sleep(time.Second)
		if s := later.state1(t, ctx, nil); s.Counts.Creating != 2 || s.Booked != 2 || s.Waiting != 1 || s.Present != 3 {
			t.Errorf("s = %+v; want s.Counts.Creating == 2 and s.Booked == 2 and s.Waiting == 1 and s.Present == 3", s)
		}
		close(hold)
		cancel()
		for range 3 {
			<-ended
		}
	})
}

func TestDo(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Maximum, s.Idle = 4, time.Minute }), func(t *testing.T, ctx context.Context, r *rig) {
		if !r.do(t, ctx, plan.Directive{Verb: plan.VerbCreate, Count: 9, Total: 2}) {
			t.Error("nothing was made")
		}
		if s := r.state1(t, ctx, nil); s.Counts.Ready != 2 || s.Booked != 0 {
			t.Errorf("of nine, two in total: %+v", s)
		}
		if r.do(t, ctx, plan.Directive{Verb: plan.VerbCreate, Count: 1, Total: 2}) {
			t.Error("a directive that others fulfilled made something")
		}
		r.do(t, ctx, plan.Directive{Verb: plan.VerbCreate, Count: 9, Total: 9})
		if s := r.state1(t, ctx, nil); s.Counts.Ready != 4 {
			t.Errorf("nine, and a maximum of four: %+v", s)
		}
		l := r.take(t, ctx, compute.Request{})
		for _, verb := range []plan.Verb{plan.VerbDiscard, plan.VerbStop, plan.VerbStart} {
			if r.do(t, ctx, plan.Directive{Verb: verb, Instance: l.Instance}) {
				t.Errorf("%s of what is in use", verb)
			}
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		if r.do(t, ctx, plan.Directive{Verb: plan.VerbDiscard, Instance: l.Instance}) {
			t.Error("what was used a moment ago was discarded")
		}
		time.Sleep(2 * time.Minute)
		if !r.do(t, ctx, plan.Directive{Verb: plan.VerbDiscard, Instance: l.Instance}) || r.state(t, ctx, l.Instance) != "gone" {
			t.Errorf("it is %s", r.state(t, ctx, l.Instance))
		}
		if r.do(t, ctx, plan.Directive{Verb: plan.VerbDiscard, Instance: l.Instance}) {
			t.Error("what is gone was discarded")
		}
		_, err := r.Do(ctx, plan.Directive{Verb: "paint", Source: "web"})
		kind(t, err, compute.ErrInvalid)
		_, err = r.Do(ctx, plan.Directive{Verb: plan.VerbCreate, Source: "nosuch"})
		kind(t, err, compute.ErrNotFound)
		// Each stands in the journal with its reason.
		es, err := r.Events(ctx, inventory.EventQuery{Source: "web"})
		must(t, err)
		said := map[string]int{}
		for _, e := range es {
			if e.Kind == "directive" && e.Text == "a test" {
				said[e.Data["do"]+" "+e.Data["count"]]++
			}
		}
		if fmt.Sprint(said) != "map[create 2:1 create 7:1 discard :1]" {
			t.Errorf("the journal says %v", said)
		}
	})
}

// TestAim: what a director aims at counts at release, for all processes on the store, until it is
// over.
func TestAim(t *testing.T) {
	inBubble(t, nil, web(func(*pool.Source) {}), func(t *testing.T, ctx context.Context, r *rig) {
		r.do(t, ctx, plan.Directive{Verb: plan.VerbCreate, Count: 1, Total: 1})
		r.do(t, ctx, plan.Directive{Verb: plan.VerbTarget, Target: inventory.Target{Spare: 1, Until: time.Now().Add(10 * time.Minute)}})
		other := newRigOn(t, r.store, r.clouds, web(func(*pool.Source) {}), nil)
		l := other.take(t, ctx, compute.Request{})
		must(t, other.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		if s := r.state(t, ctx, l.Instance); s != compute.Ready {
			t.Errorf("it is %s, and the aim is to have one spare", s)
		}
		st, err := other.Status(ctx)
		must(t, err)
		if st[0].Wanted != 1 {
			t.Errorf("status says that %d are wanted", st[0].Wanted)
		}
		time.Sleep(11 * time.Minute)
		l = other.take(t, ctx, compute.Request{})
		must(t, other.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		if s := r.state(t, ctx, l.Instance); s != "gone" {
			t.Errorf("it is %s, and the aim is over", s)
		}
	})
}

// TestStopped: one that is stopped is started for who asks when nothing runs, and what is stopped
// and fails to start is not handed out.
func TestStopped(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve, s.Cold = 2, 2 }), func(t *testing.T, ctx context.Context, r *rig) {
		r.do(t, ctx, plan.Directive{Verb: plan.VerbCreate, Count: 2, Total: 2})
		if !r.do(t, ctx, plan.Directive{Verb: plan.VerbStop, Instance: "web-1"}) ||
			r.do(t, ctx, plan.Directive{Verb: plan.VerbStop, Instance: "web-1"}) {
			t.Error("it is stopped once")
		}
		if s := r.state1(t, ctx, nil); s.Counts.Ready != 2 || s.Cold != 1 || s.ColdMost != 2 {
			t.Errorf("s = %+v; want s.Counts.Ready == 2 and s.Cold == 1 and s.ColdMost == 2", s)
		}
		if s, err := r.Status(ctx); err != nil || s[0].Cold != 1 || s[0].Counts.Ready != 2 {
			t.Errorf("status tells of %+v, %v", s, err)
		}
		if l := r.take(t, ctx, compute.Request{}); l.Instance != "web-2" {
			t.Errorf("%s was handed out, and web-2 runs", l.Instance)
		}
		l := r.take(t, ctx, compute.Request{})
		c, err := r.Connect(ctx, ann, l.Instance)
		if err != nil || l.Instance != "web-1" {
			t.Fatalf(`%s: err = %v; want no error and l.Instance == "web-1"`, l.Instance, err)
		}
		must(t, c.Close())
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, "web-1", "web-2"))
		r.do(t, ctx, plan.Directive{Verb: plan.VerbStop, Instance: "web-1"})
		r.do(t, ctx, plan.Directive{Verb: plan.VerbStop, Instance: "web-2"})
		r.fail = func(_, op string, id compute.ID) error {
			if op == "start" && id == "web-1" {
				return errors.New("its disk is gone")
			}
			return nil
		}
		if l := r.take(t, ctx, compute.Request{}); l.Instance != "web-2" {
			t.Errorf("%s was handed out, and web-1 cannot start", l.Instance)
		}
		if _, err := r.RunDue(ctx); err != nil {
			t.Error(err)
		}
		if s := r.state(t, ctx, "web-1"); s != "gone" {
			t.Errorf("what cannot start is %s", s)
		}
	})
}

// TestHangingProvider: one source whose provider does not open is told as broken, and keeps the
// others waiting for a moment only.
func TestHangingProvider(t *testing.T) {
	sources := append(web(func(s *pool.Source) { s.Reserve = 1 }), pool.Source{Name: "bad", Type: "fake", Digest: "d", Reserve: 1})
	change := func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			if name == "bad" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return open(ctx, name, typ, def)
		}
	}
	inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
		start := time.Now()
		snap, err := r.Snapshot(ctx, nil)
		must(t, err)
		if took := time.Since(start); took > 10*time.Second || snap.Sources[0].Broken == nil || snap.Sources[1].Broken != nil {
			t.Errorf("after %v: %+v", took, snap.Sources)
		}
	})
}

// TestSweep: of many ready instances each look reads some, and in the end those that stood idle the
// longest are told, once all were seen.
func TestSweep(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Idle = time.Minute }), func(t *testing.T, ctx context.Context, r *rig) {
		r.state1(t, ctx, all)
		start := time.Now()
		must(t, r.store.Update(ctx, func(tx store.Tx) error {
			rec := &store.SourceRecord{Name: "web", Digest: "d", Type: "fake"}
			if err := tx.SaveSource(rec); err != nil {
				return err
			}
			for k := range 2500 {
				i := compute.Instance{ID: compute.ID(fmt.Sprintf("web-%d", k)), Source: "web", SourceKey: rec.Key,
					State: compute.Ready, Created: start,
					Since: start.Add(-time.Duration(k) * time.Second)}
				if err := tx.SaveInstance(&i); err != nil {
					return err
				}
			}
			return nil
		}))
		for round := range 6 {
			s := r.state1(t, ctx, all)
			if full := round%3 == 2; full != (s.Idlers != nil) {
				t.Fatalf("round %d tells of %d", round, len(s.Idlers))
			} else if full && (s.Idlers[0].ID != "web-2499" || s.Idlers[1].ID != "web-2498" || s.Tired != 2440) {
				t.Fatalf("round %d: %d tired, %v", round, s.Tired, s.Idlers[:2])
			}
		}
	})
}
