package pool_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// witness is a provider that may know of its computers without a look.
type witness struct {
	compute.Provider
	of *testimony
}

// testimony is what it says, and how often it was asked to look all the same.
type testimony struct {
	mu     sync.Mutex
	fit    bool
	unfit  bool // what a look finds
	looked int
}

func (w witness) Unwrap() compute.Provider { return w.Provider }

func (w witness) Fit(compute.ID, string) bool {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	return w.of.fit
}

func (w witness) Check(context.Context, compute.ID) error {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.of.looked++
	if w.of.unfit {
		return errors.New("it does not answer")
	}
	return nil
}

func (w *testimony) set(fit, unfit bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fit, w.unfit, w.looked = fit, unfit, 0
}

func (w *testimony) looks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looked
}

// attest has it said of all sources.
func (w *testimony) attest(o *pool.Options) {
	open := o.Open
	o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
		p, err := open(ctx, name, typ, def)
		return witness{p, w}, err
	}
}

// TestWitnessOfTheYoung: of what was found fit a moment ago its provider may know that it has ended
// since: then it is looked at.
func TestWitnessOfTheYoung(t *testing.T) {
	for _, fit := range []bool{true, false} {
		said := &testimony{}
		sources := web(func(s *pool.Source) { s.Reserve, s.Maximum = 1, 2 })
		inBubble(t, said.attest, sources, func(t *testing.T, ctx context.Context, r *rig) {
			_, err := r.Fill(ctx, "web")
			must(t, err)
			time.Sleep(time.Second)
			said.set(fit, !fit)
			got, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
			must(t, err)
			want := compute.ID("web-1")
			if !fit {
				want = "web-2"
			}
			if len(got) != 1 || got[0].Instance != want || (said.looks() > 0) == fit {
				t.Errorf("fit: %v: given was %+v after %d looks", fit, got, said.looks())
			}
		})
	}
}

// TestWitness: what has stood ready for long is handed out without a look where its provider knows
// that it is fit, by a pool over it too; where it does not, and where a hook is to look, there is
// one.
func TestWitness(t *testing.T) {
	for _, c := range []struct {
		name       string
		hooks      []string
		fit, unfit bool
		looks      bool
		gets       compute.ID
	}{
		{"it is known", nil, true, true, false, "web-1"},
		{"nothing is known", nil, false, false, true, "web-1"},
		{"it is not fit", nil, false, true, true, "web-2"},
		{"a hook looks", []string{"check"}, true, false, true, "web-1"},
	} {
		for _, from := range []string{"web", "front"} {
			t.Run(c.name+", from "+from, func(t *testing.T) {
				said := &testimony{}
				sources := append(
					web(func(s *pool.Source) { s.Reserve, s.Maximum, s.Hooks = 1, 2, c.hooks }),
					pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}},
				)
				inBubble(t, said.attest, sources, func(t *testing.T, ctx context.Context, r *rig) {
					_, err := r.Fill(ctx, "web")
					must(t, err)
					time.Sleep(time.Minute)
					said.set(c.fit, c.unfit)
					got, err := r.Acquire(ctx, compute.Request{Source: from, Count: 1, Owner: "ann"})
					if n := said.looks(); (n > 0) != c.looks {
						t.Errorf("it was looked at %d times", n)
					}
					must(t, err)
					want := c.gets
					if from == "front" {
						want = "front-" + want
					}
					if len(got) != 1 || got[0].Instance != want || got[0].Worker != 0 {
						t.Errorf("given was %+v", got)
					}
				})
			})
		}
	}
}
