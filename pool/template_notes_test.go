package pool_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// ofFile runs a test on a source web whose instances are made like a file; what is made of a text
// that begins with "broken" fails.
func ofFile(t *testing.T, source func(*pool.Source), f func(t *testing.T, ctx context.Context, r *rig, of *file)) {
	of := &file{text: "one", made: map[compute.ID]string{}}
	inBubble(t, of.whole, web(source), func(t *testing.T, ctx context.Context, r *rig) { f(t, ctx, r, of) })
}

// whole is likeFile where what is broken is told as a provider does.
type whole struct{ likeFile }

func (w whole) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	text, _ := w.Template()
	time.Sleep(time.Second) // in a bubble: a boot takes time
	switch {
	case strings.HasPrefix(text, "broken"):
		return compute.Instance{}, provider.Unasked(&compute.Error{Kind: compute.ErrFailed, Err: errors.New("no such image")})
	case strings.HasPrefix(text, "large"), spec.Memory > 1<<40:
		return compute.Instance{}, provider.Unasked(&compute.Error{Kind: compute.ErrNoCapacity, Err: errors.New("no node takes it")})
	}
	i, err := w.Provider.Create(ctx, spec)
	i.Facts = map[string]string{provider.FactTemplate: text}
	w.f.mu.Lock()
	w.f.made[spec.ID] = text
	w.f.mu.Unlock()
	return i, err
}

// whole has providers be so, and engines share a desk.
func (f *file) whole(o *pool.Options) {
	f.wrap(o)
	o.Inflight = &f.desk
	inner := o.Open
	o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
		p, err := inner(ctx, name, typ, def)
		if err != nil {
			return nil, err
		}
		return whole{p.(likeFile)}, nil
	}
}

// reloaded is an engine by another definition of web in the place of r.
func (r *rig) reloaded(t *testing.T, of *file, definition string, source func(*pool.Source)) *rig {
	t.Helper()
	next := newRigOn(t, r.store, r.clouds, web(func(s *pool.Source) {
		source(s)
		s.Definition = []byte(definition)
	}), of.whole)
	r.HandOver(next.Pool)
	return next
}

// kept runs what a controller does while f runs.
func (r *rig) kept(t *testing.T, ctx context.Context, f func()) {
	ctx, end := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { r.rounds(t, ctx) })
	f()
	end()
	all.Wait()
}

// TestChangeThatDoesNotBecomeReady: of a source whose changed template, or configuration, makes
// nothing that becomes ready, that is said, since when and why, until one does or it is changed
// again; what stands ready stays. What is replaced says which of the two was changed.
func TestChangeThatDoesNotBecomeReady(t *testing.T) {
	source := func(s *pool.Source) { s.Reserve, s.Maximum = 3, 5 }
	for _, how := range []string{inventory.ChangedTemplate, inventory.ChangedKeys} {
		t.Run(how, func(t *testing.T) {
			ofFile(t, source, func(t *testing.T, ctx context.Context, r *rig, of *file) {
				must(t, second(r.Fill(ctx, "web")))
				change := func(text string) {
					of.edit(text)
					if how == inventory.ChangedKeys {
						r = r.reloaded(t, of, text, source)
					}
				}
				said := func() *inventory.Unready {
					snap, err := r.Snapshot(ctx, nil)
					must(t, err)
					st := r.status(t, ctx, "web")
					if (snap.Sources[0].Unready == nil) != (st.Unready == nil) {
						t.Errorf("status says %v, and a director is told %v", st.Unready, snap.Sources[0].Unready)
					}
					return st.Unready
				}
				if u := said(); u != nil {
					t.Errorf("at first: %+v", u)
				}
				for _, text := range []string{"broken", "large"} {
					at := time.Now()
					change(text)
					r.kept(t, ctx, func() {
						time.Sleep(time.Minute)
						u := said()
						if u == nil || u.Changed != how || u.Failures == 0 || u.Since.Before(at) ||
							u.Since.Sub(at) > 2*time.Second || !strings.Contains(
							u.Why, map[string]string{"broken": "no such image", "large": "no node takes it"}[text],
						) {
							t.Fatalf("%s: u = %+v", text, u)
						}
						if want := "nothing by the changed " + how + " has become ready since "; !strings.HasPrefix(u.String(), want) {
							t.Errorf("for people: %s", u)
						}
					})
					if ids := r.ready(t, ctx); len(ids) != 3 ||
						slices.ContainsFunc(ids, func(id compute.ID) bool { return of.of(id) != "one" }) {
						t.Errorf("%s: ready are %v", text, ids)
					}
				}
				change("two")
				r.kept(t, ctx, func() {
					time.Sleep(1500 * time.Millisecond)
					if u := said(); u != nil {
						t.Errorf("it was changed again, and still: %+v", u)
					}
					time.Sleep(time.Minute)
				})
				if ids := r.ready(t, ctx); len(ids) < 3 ||
					slices.ContainsFunc(ids, func(id compute.ID) bool { return of.of(id) != "two" }) {
					t.Errorf("ready are %v in the end", ids)
				}
				es, err := r.Events(ctx, inventory.EventQuery{Source: "web"})
				must(t, err)
				gone := 0
				for _, e := range es {
					if e.Kind == string(compute.Discarding) {
						if gone++; e.Text != "replaced: its source's instances come from the changed "+how+" now" {
							t.Errorf("%s goes: %s", e.Instance, e.Text)
						}
					}
				}
				if gone != 3 {
					t.Errorf("%d went", gone)
				}
			})
		})
	}
}

// TestChangeEndsPauses: a change of what instances are made of ends the pauses that what they were
// made of before has caused, and not that of a place that cannot be reached.
func TestChangeEndsPauses(t *testing.T) {
	for _, c := range []struct {
		before string
		ask    compute.Request
		tries  int
	}{
		{"broken", compute.Request{}, 8},
		{"large", compute.Request{}, 5},
		{"broken too", compute.Request{Memory: 2 << 30}, 8},
		{"large too", compute.Request{Memory: 2 << 30}, 5},
	} {
		for _, how := range []string{inventory.ChangedTemplate, inventory.ChangedKeys} {
			t.Run(c.before+" by "+how, func(t *testing.T) {
				ofFile(t, func(*pool.Source) {}, func(t *testing.T, ctx context.Context, r *rig, of *file) {
					of.edit(c.before)
					c := c
					c.ask.Source, c.ask.Count, c.ask.Owner = "web", 1, "ann"
					for range c.tries {
						if ls, err := r.Acquire(ctx, c.ask); err == nil {
							t.Fatalf("it gives %v", ls)
						}
						if c.tries == 5 {
							time.Sleep(40 * time.Second)
						}
					}
					asked := time.Now()
					if _, err := r.Acquire(ctx, c.ask); err == nil || time.Since(asked) > 500*time.Millisecond && c.tries == 8 {
						t.Fatalf("it is not paused: %v after %v", err, time.Since(asked))
					}
					of.edit("two")
					if how == inventory.ChangedKeys {
						r = r.reloaded(t, of, "two", func(*pool.Source) {})
					} else {
						must(t, r.Rolling(ctx, pool.ReconcileOptions{Go: func(f func()) { f() }, Done: func() {}}))
					}
					at := time.Now()
					c.ask.Wait = time.Hour
					r.take(t, ctx, c.ask)
					if d := time.Since(at); d > 2*time.Second {
						t.Errorf("it was had after %v", d)
					}
					if s := r.status(t, ctx, "web"); s.Failures != 0 || !s.Paused.IsZero() || s.Unready != nil {
						t.Errorf("of it is said: %+v", s)
					}
				})
			})
		}
	}
	t.Run("away", func(t *testing.T) {
		ofFile(t, func(*pool.Source) {}, func(t *testing.T, ctx context.Context, r *rig, of *file) {
			r.take(t, ctx, compute.Request{})
			until := time.Now().Add(20 * time.Second)
			must(t, r.store.Update(ctx, func(tx store.Tx) error {
				rec, err := tx.Source("web", "d")
				must(t, err)
				rec.Unreachable, rec.Paused, rec.LastError = time.Now(), until, "no route"
				return tx.SaveSource(rec)
			}))
			of.edit("two")
			must(t, r.Rolling(ctx, pool.ReconcileOptions{Go: func(f func()) { f() }, Done: func() {}}))
			if s := r.status(t, ctx, "web"); !s.Paused.Equal(until) || s.LastError == "" {
				t.Errorf("of it is said: %+v", s)
			}
		})
	})
}

// TestFailureOfBefore: what was begun by the configuration before, and fails after it was changed,
// is no failure of the new one, nor pauses it.
func TestFailureOfBefore(t *testing.T) {
	ofFile(t, func(*pool.Source) {}, func(t *testing.T, ctx context.Context, r *rig, of *file) {
		of.edit("broken")
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"}); err == nil {
					t.Error("something was made of it")
				}
			})
		}
		time.Sleep(500 * time.Millisecond) // it fails after a second
		of.edit("two")
		next := r.reloaded(t, of, "two", func(*pool.Source) {})
		must(t, second(next.Fill(ctx, "web"))) // nothing is wanted
		all.Wait()
		if s := next.status(t, ctx, "web"); s.Failures != 0 || !s.Paused.IsZero() || s.Unready != nil || s.LastError != "" {
			t.Errorf("of it is said: %+v", s)
		}
		next.take(t, ctx, compute.Request{})
	})
}

// TestNewFirst: while instances are replaced, those of now are given before those of before, and
// these when there are no others.
func TestNewFirst(t *testing.T) {
	for _, how := range []string{inventory.ChangedTemplate, inventory.ChangedKeys} {
		t.Run(how, func(t *testing.T) {
			source := func(s *pool.Source) { s.Reserve, s.Maximum = 6, 8 }
			ofFile(t, source, func(t *testing.T, ctx context.Context, r *rig, of *file) {
				must(t, second(r.Fill(ctx, "web")))
				of.edit("two")
				if how == inventory.ChangedKeys {
					r = r.reloaded(t, of, "two", source)
				}
				var got []string
				take := func() {
					got = append(got, of.of(r.take(t, ctx, compute.Request{CachedOnly: true}).Instance))
				}
				take()
				r.kept(t, ctx, func() {
					for slices.IndexFunc(r.ready(t, ctx), func(id compute.ID) bool { return of.of(id) == "two" }) < 0 {
						time.Sleep(100 * time.Millisecond)
					}
				})
				// which looks, and begins nothing
				must(t, r.Rolling(ctx, pool.ReconcileOptions{Go: func(func()) {}}))
				news := 0
				for _, id := range r.ready(t, ctx) {
					if of.of(id) == "two" {
						news++
					}
				}
				olds := len(r.ready(t, ctx)) - news
				if news == 0 || olds == 0 {
					t.Fatalf("%d of now and %d of before", news, olds)
				}
				want := []string{"one"}
				for n := range news + olds {
					want = append(want, map[bool]string{true: "two", false: "one"}[n < news])
					take()
				}
				if !slices.Equal(got, want) {
					t.Errorf("given were %v, not %v", got, want)
				}
			})
		})
	}
}
