package ironic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// reached is the provider with nodes that answer at once, whoever is behind them.
type reached struct{ *ironic.Provider }

func (reached) Connect(context.Context, compute.ID) (compute.Conn, error) { return answers{}, nil }
func (reached) Check(context.Context, compute.ID) error                   { return nil }

// answers is a computer on which each command succeeds.
type answers struct{}

func (answers) Run(context.Context, *compute.Command) (compute.Exit, error) {
	return compute.Exit{}, nil
}
func (answers) Put(context.Context, string, io.Reader) error { return nil }
func (answers) Get(context.Context, string, io.Writer) error { return nil }
func (answers) Close() error                                 { return nil }

// TestAskedIsCached acquires one image twenty times, another twice and others never. What the
// director then keeps ready is that, and the next request for it finds it.
func TestAskedIsCached(t *testing.T) {
	s := newStandin(t)
	s.images = nil
	for _, name := range []string{"often", "seldom", "never", "new"} {
		s.images = append(s.images, map[string]any{"id": "id-" + name, "name": name, "status": "active"})
	}
	for n := range 24 {
		s.add(n+1, nil)
	}
	p, err := ironic.Open(
		t.Context(), slog.New(slog.DiscardHandler),
		ironic.Options{Session: s.session(t), Source: "metal", Installation: "inst", Dir: t.TempDir(), Image: "often"},
	)
	do(t, err)
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	do(t, err)
	defer st.Close()
	var ids atomic.Int64
	engine, err := pool.New(pool.Options{
		Store: st, Sources: []pool.Source{{Name: "metal", Type: "ironic", Digest: "d", Tally: true}},
		NewID: func() string { return fmt.Sprintf("lease%d", ids.Add(1)) },
		Open:  func(context.Context, string, string, []byte) (compute.Provider, error) { return reached{p}, nil },
	})
	do(t, err)
	acquire := func(image string) compute.Instance {
		t.Helper()
		got, err := engine.Acquire(t.Context(), compute.Request{Source: "metal", Owner: "somebody", Own: true, Count: 1, Image: image})
		do(t, err)
		var in *compute.Instance
		do(t, st.View(t.Context(), func(tx store.Tx) error { in, err = tx.Instance(got[0].Instance); return err }))
		do(t, engine.Release(t.Context(), compute.Who{Owner: "somebody"}, compute.ReleaseOptions{}, got[0].Instance))
		return *in
	}
	for n := range 22 {
		if in := acquire([]string{"often", "seldom"}[n/20]); in.Facts[provider.FactCached] != "miss" {
			t.Fatalf("request %d: %v", n, in.Facts)
		}
	}

	key, err := p.PublicKey()
	do(t, err)
	c, err := ironic.NewCommander(ironic.CommanderOptions{
		Session: s.session(t), Installation: "inst", Keys: []string{key}, HostKey: p.GivesHostKeys(),
		Poll: 5 * time.Millisecond,
	})
	do(t, err)
	defer c.Close()
	round := func(dry bool) *imagecache.Report {
		t.Helper()
		l, err := imagecache.New(imagecache.Options{
			Scout: scout(t, s, nil), Commander: c, Store: st, Demand: true, DryRun: dry,
			Strategy: &strategy.Proportional{Share: 1, Goal: strategy.ByDemand, Weights: strategy.Weights{Default: 1}},
		})
		do(t, err)
		r, err := l.Round(t.Context())
		do(t, err)
		return r
	}
	count := func(r *imagecache.Report) map[string]int {
		n := map[string]int{}
		for _, d := range r.Directives {
			n[d.Title]++
		}
		return n
	}
	dry := count(round(true))
	n := count(round(false)) // of a process of its own: what the dry run has learned was not kept
	if n["often"] <= n["seldom"] || n["seldom"] == 0 || n["never"] != 0 || n["often"] > 20 || dry["often"] != n["often"] {
		t.Fatalf("it caches %v, and in a dry run %v", n, dry)
	}
	if left := c.Finish(t.Context(), time.Minute); len(left) > 0 {
		t.Fatalf("left %v", left)
	}
	if again := round(false); len(again.Directives) > 0 { // and counts no request twice
		t.Errorf("with nothing asked for it does %+v", again.Directives)
	}
	if in := acquire("often"); in.Facts[provider.FactCached] != "hit" || in.Facts[provider.FactImage] != "often" {
		t.Errorf("the next request: %v", in.Facts)
	}
	if in := acquire("never"); in.Facts[provider.FactCached] != "miss" {
		t.Errorf("a request for what nobody asked for: %v", in.Facts)
	}
	if n := count(round(false)); n["never"] == 0 {
		t.Errorf("after a hit and a miss it caches %v", n)
	}
	if left := c.Finish(t.Context(), time.Minute); len(left) > 0 {
		t.Fatalf("left %v", left)
	}

	// Who gets no node asked all the same.
	for n := range 24 {
		s.with(uuid(n+1), func(n map[string]any) { n["maintenance"] = true })
	}
	for range 3 {
		if _, err := engine.Acquire(
			t.Context(), compute.Request{Source: "metal", Owner: "somebody", Own: true, Count: 2, Image: "new"},
		); !errors.Is(err, compute.ErrNoCapacity) {
			t.Fatalf("without a node: %v", err)
		}
	}
	for n := range 24 {
		s.with(uuid(n+1), func(n map[string]any) { n["maintenance"] = false })
	}
	if n := count(round(false)); n["new"] == 0 {
		t.Errorf("after requests that got nothing it caches %v", n)
	}
	var unserved []string
	do(t, st.View(t.Context(), func(tx store.Tx) error {
		events, err := tx.Events(inventory.EventQuery{})
		for _, e := range events {
			if e.Kind == "unserved" {
				unserved = append(unserved, e.Source+" "+e.Data[provider.FactImage]+" "+e.Data["count"])
			}
		}
		return err
	}))
	if want := []string{"metal new 2", "metal new 2", "metal new 2"}; !slices.Equal(unserved, want) {
		t.Errorf("the journal has %q, want %q", unserved, want)
	}
}
