package pool_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// recognized is a provider in a place that tells which computer an instance is, by asking that
// place.
type recognized struct{ overseen }

func (r recognized) Identity(context.Context, compute.ID) (string, error) {
	return "one place", r.at.error()
}
func (r recognized) Same(context.Context, compute.ID, string) error { return r.at.error() }
func (r recognized) Leads(context.Context, string) error            { return r.at.error() }

// TestAwayAlone: who waits for a source alone whose place does not answer waits on, is told why,
// and gets one when it answers again; who does not wait is refused at once.
func TestAwayAlone(t *testing.T) {
	at := &venue{away: true}
	change := func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return recognized{overseen{p, at}}, err
		}
	}
	inBubble(t, change, []pool.Source{{Name: "a", Type: "fake", Digest: "d", Maximum: 4}}, func(t *testing.T, ctx context.Context, r *rig) {
		began := time.Now()
		if _, err := r.Acquire(ctx, compute.Request{Source: "a", Owner: "me", Count: 1}); !errors.Is(err, compute.ErrUnavailable) ||
			time.Since(began) > time.Minute {
			t.Errorf("without waiting: %v after %v, want ErrUnavailable at once", err, time.Since(began))
		}
		began = time.Now()
		_, err := r.Acquire(ctx, compute.Request{Source: "a", Owner: "me", Count: 1, Wait: 3 * time.Second})
		if waited := time.Since(began); !errors.Is(err, compute.ErrTimeout) || waited != 3*time.Second ||
			!strings.Contains(err.Error(), "no route to host") {
			t.Errorf("with a wait of 3 s: %v after %v, want ErrTimeout with the reason after 3 s", err, waited)
		}
		defer time.AfterFunc(2*time.Minute, func() { at.set(false, nil) }).Stop()
		began = time.Now()
		l, err := r.Acquire(ctx, compute.Request{Source: "a", Owner: "me", Count: 1, Wait: time.Hour})
		if waited := time.Since(began); err != nil || len(l) != 1 || waited < 2*time.Minute || waited > 4*time.Minute {
			t.Errorf("with a wait of an hour, and the place back after 2 minutes: %v, %v after %v", l, err, waited)
		}
	})
}

// TestAwayPartly: a request for more than stand ready, of which the others cannot be made as the
// place does not answer, waits, and what stood ready is there still; who cannot enter what he has
// is the first who finds that out for all.
func TestAwayPartly(t *testing.T) {
	at := &venue{}
	change := func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return locked{overseen{p, at}}, err
		}
	}
	inBubble(t, change, []pool.Source{{
		Name: "a", Type: "fake", Digest: "d", Reserve: 3, Maximum: 4, Reuse: "no",
	}}, func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "a")
		must(t, err)
		mine := r.take(t, ctx, compute.Request{Source: "a"})
		at.set(true, nil)
		began := time.Now()
		_, err = r.Acquire(ctx, compute.Request{Source: "a", Owner: "ann", Count: 3, Wait: 3 * time.Second})
		if waited := time.Since(began); !errors.Is(err, compute.ErrTimeout) || waited != 3*time.Second ||
			!strings.Contains(err.Error(), "no route to host") {
			t.Errorf("3 of 2 that stand ready: %v after %v, want ErrTimeout with the reason after 3 s", err, waited)
		}
		if c := r.status(t, ctx, "a").Counts; c.Ready != 2 || c.Discarding != 0 {
			t.Errorf("what stood ready: %+v", c)
		}
		at.set(false, nil)
		time.Sleep(time.Minute)
		one := r.take(t, ctx, compute.Request{Source: "a"}) // so it is known that it answers
		at.set(true, nil)
		if _, err := r.Connect(ctx, ann, mine.Instance); !errors.Is(err, compute.ErrUnavailable) {
			t.Errorf("the way into %s: %v", mine.Instance, err)
		}
		if s := r.status(t, ctx, "a"); s.Available == nil || *s.Available != 0 || s.Counts.Ready != 1 ||
			!strings.Contains(s.LastError, "no route to host") {
			t.Errorf("after that, with %s in use too: %+v", one.Instance, s)
		}
	})
}

// TestAwayBesideOthers: where one child of a pool does not answer, what the pool drew of another
// for the same request stands ready there as before.
func TestAwayBesideOthers(t *testing.T) {
	for name, hooks := range map[string][]string{"ready": nil, "used": {"acquire"}} {
		t.Run(name, func(t *testing.T) {
			at := &venue{}
			change := func(o *pool.Options) {
				open := o.Open
				o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
					p, err := open(ctx, name, typ, def)
					if name == "a" {
						p = overseen{p, at}
					}
					return p, err
				}
			}
			inBubble(t, change, []pool.Source{
				{Name: "a", Type: "fake", Digest: "d", Reserve: 1, Maximum: 1, Reuse: "no"},
				{Name: "b", Type: "fake", Digest: "d", Reserve: 1, Maximum: 1, Reuse: "no", Hooks: hooks},
				{Name: "inner", Type: "pool", Digest: "d", Children: []string{"b"}},
				{Name: "both", Type: "pool", Digest: "d", Children: []string{"inner", "a"}},
			}, func(t *testing.T, ctx context.Context, r *rig) {
				must(t, second(r.Fill(ctx, "a")))
				must(t, second(r.Fill(ctx, "b")))
				time.Sleep(time.Minute)
				at.set(true, nil)
				_, err := r.Acquire(ctx, compute.Request{Source: "both", Owner: "ann", Count: 2, Wait: 3 * time.Second})
				if err == nil || !strings.Contains(err.Error(), "no route to host") {
					t.Errorf("who asks for both has %v", err)
				}
				time.Sleep(time.Minute)
				if s := r.state(t, ctx, "b-1"); s != "ready" && hooks == nil || s == "ready" && hooks != nil {
					t.Errorf("b-1 is %s", s)
				}
				if s := r.state(t, ctx, "a-1"); s != "ready" {
					t.Errorf("a-1 is %s", s)
				}
				if hooks == nil {
					if l := r.take(t, ctx, compute.Request{Source: "both"}); l.Instance != "both-inner-b-1" {
						t.Errorf("then %s is given", l.Instance)
					}
				}
			})
		})
	}
}

// locked is a provider in a place without which its computers are not entered.
type locked struct{ overseen }

func (l locked) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	if err := l.at.error(); err != nil {
		return nil, err
	}
	return l.Provider.Connect(ctx, id)
}

// TestPastIsQuiet: a definition that counts no more and has nothing warns nobody at a controller's
// start of what cannot be looked at by it; one that counts does.
func TestPastIsQuiet(t *testing.T) {
	at := &venue{away: true}
	change := func(o *pool.Options) {
		open := o.Open
		o.Inventory = true
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return unlisted{p, at}, err
		}
	}
	inBubble(t, change, []pool.Source{{Name: "a", Type: "fake", Digest: "d"}}, func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "a") // so there is a record of it
		must(t, err)
		failures := func(sources ...pool.Source) (n int) {
			r := newRigOn(t, r.store, nil, sources, change)
			var all sync.WaitGroup
			_, err := r.Reconcile(ctx, pool.ReconcileOptions{Go: all.Go, Done: func() {}, Failed: func(error) { n++ }})
			must(t, err)
			all.Wait()
			return n
		}
		if n := failures(pool.Source{Name: "a", Type: "fake", Digest: "d"}); n != 1 {
			t.Errorf("of a source that is configured %d failures are told, want 1", n)
		}
		if n := failures(); n != 0 {
			t.Errorf("of one that was taken away %d are", n)
		}
		if n := failures(pool.Source{Name: "a", Type: "fake", Digest: "another"}); n != 0 {
			t.Errorf("of one that is defined otherwise now %d are", n)
		}
	})
}

// unlisted is a provider in a place that does not list what is there while it is away.
type unlisted struct {
	compute.Provider
	at *venue
}

func (u unlisted) List(ctx context.Context) ([]compute.Instance, error) {
	if err := u.at.error(); err != nil {
		return nil, err
	}
	return u.Provider.List(ctx)
}
