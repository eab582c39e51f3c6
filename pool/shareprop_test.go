package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// mortal is a store in the hands of a process that may be killed: from then on nothing of it gets
// any further.
type mortal struct {
	*sqlite.Store
	dead atomic.Bool
}

func (m *mortal) Update(ctx context.Context, fn func(store.Tx) error) error {
	if m.dead.Load() {
		runtime.Goexit()
	}
	return m.Store.Update(ctx, fn)
}

func (m *mortal) View(ctx context.Context, fn func(store.Tx) error) error {
	if m.dead.Load() {
		runtime.Goexit()
	}
	return m.Store.View(ctx, fn)
}

// sharer is one process of several on a store.
type sharer struct {
	*pool.Pool
	st   *mortal
	left atomic.Int64 // steps until it is killed; 0: it is not
}

// shareWorld is a store with processes on it, and what they were told.
type shareWorld struct {
	t     *rapid.T
	ctx   context.Context
	path  string
	cloud *fake.Cloud
	size  compute.Resources
	procs []*sharer
	told  map[string]compute.Lease // leases that somebody was given and has not given back
}

var shareSource = pool.Source{
	Name: "big", Type: "fake", Digest: "d", Share: true, Maximum: 3, Reserve: 1, Idle: 10 * time.Millisecond,
	MaxUses: 40,
}

func (w *shareWorld) open() *sharer {
	st, err := sqlite.Open(w.ctx, w.path, sqlite.Options{Unsafe: true})
	if err != nil {
		w.t.Fatal(err)
	}
	p := &sharer{st: &mortal{Store: st}}
	n := 0
	p.Pool, err = pool.New(pool.Options{
		Store: p.st, Sources: []pool.Source{shareSource}, NewID: func() string { n++; return fmt.Sprintf("%d.%d", st.Worker(), n) },
		Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			f, err := fake.Open(
				ctx, slog.New(slog.DiscardHandler),
				fake.Options{
					Source: name, Installation: st.Installation(), Cloud: w.cloud, Cores: w.size.Cores,
					Memory: w.size.Memory, GPUs: w.size.GPUs,
				},
			)
			return f, err
		},
		Step: func(string) {
			if p.st.dead.Load() || p.left.Load() > 0 && p.left.Add(-1) == 0 {
				p.st.dead.Store(true)
				runtime.Goexit()
			}
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// do has a process do something, of which it may die: then another comes in its place.
func (w *shareWorld) do(n int, f func(p *sharer)) (lived bool) {
	p := w.procs[n]
	var done sync.WaitGroup
	done.Go(func() {
		f(p)
		lived = true
	})
	done.Wait()
	p.left.Store(0)
	if p.st.dead.Load() {
		lived = false
		_ = p.st.Store.Close()
		w.procs[n] = w.open()
	}
	return lived
}

// judge looks at the store: nothing is over-committed, nothing booked without a lease, nothing told
// is lost.
func (w *shareWorld) judge() {
	now := time.Now()
	err := w.procs[0].st.Store.View(w.ctx, func(tx store.Tx) error {
		recs, err := tx.Sources("")
		if err != nil || len(recs) == 0 {
			return err
		}
		is, err := tx.Instances(inventory.InstanceQuery{})
		if err != nil {
			return err
		}
		ls, err := tx.Leases(inventory.LeaseQuery{})
		if err != nil {
			return err
		}
		of := map[compute.ID][]*compute.Lease{}
		lives := map[string]bool{}
		for _, l := range ls {
			of[l.Instance] = append(of[l.Instance], l)
			lives[l.ID] = true
		}
		for id, l := range w.told {
			if !lives[id] && (l.Expires.IsZero() || now.Before(l.Expires)) {
				w.t.Fatalf("lease %s of %s was told, and is lost", id, l.Instance)
			}
		}
		rooms := map[compute.ID]compute.Resources{}
		for _, i := range is {
			leases := of[i.ID]
			delete(of, i.ID)
			if (i.State == compute.Leased) != (len(leases) > 0) {
				w.t.Fatalf("%s is %s and has %d leases", i.ID, i.State, len(leases))
			}
			space, told := share.Of(w.size), false
			for _, l := range leases {
				if l.Share == nil || l.Generation != i.Generation {
					w.t.Fatalf("lease %s of %s: part %v, generation %d of %d", l.ID, i.ID, l.Share, l.Generation, i.Generation)
				}
				space.Add(*l.Share)
				told = told || l.Worker == 0
			}
			if space.Over() {
				w.t.Fatalf("of %s, which has %v, %v is booked by %d leases", i.ID, w.size, space.Booked(), len(leases))
			}
			if told {
				rooms[i.ID] = space.Free()
			}
		}
		for id, leases := range of {
			w.t.Fatalf("%d leases of %s, which there is not", len(leases), id)
		}
		noted, err := tx.Rooms(recs[0].Key, compute.Resources{}, 0)
		if err != nil {
			return err
		}
		for _, i := range noted {
			free, ok := rooms[i.ID]
			if !ok {
				w.t.Fatalf("%s has no told lease and is noted to have room", i.ID)
			}
			delete(rooms, i.ID)
			for _, c := range []struct {
				least compute.Resources
				want  bool
			}{
				{free, true}, {compute.Resources{Cores: free.Cores + 1e-6}, false},
				{compute.Resources{Memory: free.Memory + 1}, false}, {compute.Resources{GPUs: free.GPUs + 1}, false},
			} {
				found, err := tx.Rooms(recs[0].Key, c.least, 0)
				if err != nil {
					return err
				}
				if got := slices.ContainsFunc(found, func(f *compute.Instance) bool { return f.ID == i.ID }); got != c.want {
					w.t.Fatalf("%s has %v free; room for %v is noted: %v", i.ID, free, c.least, got)
				}
			}
		}
		for id, free := range rooms {
			w.t.Fatalf("%s has %v free, and that is not noted", id, free)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestSharesNeverOver runs random histories of several processes on one store, some of them killed
// at some step: never is more booked than there is, what was told is kept, what was not ends, and
// at the end nothing is left.
func TestSharesNeverOver(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		home, err := os.MkdirTemp(dir, "w")
		if err != nil {
			rt.Fatal(err)
		}
		w := &shareWorld{t: rt, ctx: context.Background(), path: filepath.Join(home, "state.db"), cloud: fake.NewCloud(),
			told: map[string]compute.Lease{},
			size: compute.Resources{Cores: rapid.SampledFrom([]float64{0, 1, 2.5, 4}).Draw(rt, "cores"), Memory: 100, GPUs: 1}}
		if w.size.Cores == 0 {
			w.size.Cores = 3
		}
		for range 2 {
			w.procs = append(w.procs, w.open())
		}
		defer func() {
			for _, p := range w.procs {
				_ = p.st.Store.Close()
			}
			_ = os.RemoveAll(home)
		}()
		ids := func() []string { return slices.Sorted(maps.Keys(w.told)) }
		rt.Repeat(map[string]func(*rapid.T){
			"acquire": func(rt *rapid.T) {
				n := rapid.IntRange(0, 1).Draw(rt, "process")
				req := compute.Request{Source: "big", Owner: "ann", Count: rapid.IntRange(1, 4).Draw(rt, "count"),
					Cores:      rapid.SampledFrom([]float64{0, -1, 0.1, 0.3, 1.0 / 3, 0.5, 1, 2}).Draw(rt, "cores"),
					Memory:     rapid.SampledFrom([]int64{0, 0, 10, 33, 100}).Draw(rt, "memory"),
					GPUs:       rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(rt, "gpus"),
					TTL:        rapid.SampledFrom([]time.Duration{0, 0, 5 * time.Millisecond, time.Minute}).Draw(rt, "ttl"),
					New:        rapid.SampledFrom([]bool{false, false, false, true}).Draw(rt, "new"),
					CachedOnly: rapid.SampledFrom([]bool{false, false, true}).Draw(rt, "cached")}
				w.procs[n].left.Store(rapid.SampledFrom([]int64{0, 0, 0, 1, 2, 3, 4, 5, 7, 9}).Draw(rt, "killed at step"))
				var ls []compute.Lease
				var err error
				if w.do(n, func(p *sharer) { ls, err = p.Acquire(w.ctx, req) }) {
					if err != nil && !errors.Is(err, compute.ErrNoCapacity) &&
						!errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrStale) {
						rt.Fatalf("%+v: %v", req, err)
					}
					if err == nil && len(ls) != req.Count && !req.CachedOnly {
						rt.Fatalf("%d leases for %d", len(ls), req.Count)
					}
					for _, l := range ls {
						w.told[l.ID] = l
					}
				}
			},
			"release": func(rt *rapid.T) {
				if len(w.told) == 0 {
					rt.Skip()
				}
				n := rapid.IntRange(0, 1).Draw(rt, "process")
				some := rapid.SliceOfNDistinct(rapid.SampledFrom(ids()), 1, min(3, len(w.told)), rapid.ID).Draw(rt, "leases")
				w.procs[n].left.Store(rapid.SampledFrom([]int64{0, 0, 0, 1, 2, 3}).Draw(rt, "killed at step"))
				var names []compute.ID
				for _, id := range some {
					names = append(names, compute.ID(id))
					delete(w.told, id) // whatever becomes of it
				}
				if w.do(n, func(p *sharer) { err = p.Release(w.ctx, ann, compute.ReleaseOptions{}, names...) }) && err != nil {
					rt.Fatalf("release of %v: %v", names, err)
				}
			},
			"time": func(rt *rapid.T) {
				time.Sleep(rapid.SampledFrom([]time.Duration{0, 6 * time.Millisecond, 15 * time.Millisecond}).Draw(rt, "passes"))
				n := rapid.IntRange(0, 1).Draw(rt, "process")
				w.procs[n].left.Store(rapid.SampledFrom([]int64{0, 0, 1, 2, 3}).Draw(rt, "killed at step"))
				if w.do(n, func(p *sharer) { _, err = p.RunDue(w.ctx) }) && err != nil && !errors.Is(err, compute.ErrNotFound) {
					rt.Fatalf("work: %v", err)
				}
				maps.DeleteFunc(
					w.told,
					func(_ string, l compute.Lease) bool { return !l.Expires.IsZero() && !time.Now().Before(l.Expires) },
				)
			},
			"": func(*rapid.T) { w.judge() },
		})
		// All goes, and nothing is left.
		p := w.procs[0]
		// those too whose user was killed just before he heard
		ls, err := p.Leases(w.ctx, inventory.LeaseQuery{})
		if err != nil {
			rt.Fatal(err)
		}
		var names []compute.ID
		for _, l := range ls {
			if l.Worker == 0 {
				names = append(names, compute.ID(l.ID))
			}
		}
		if err := p.Release(w.ctx, ann, compute.ReleaseOptions{}, names...); err != nil {
			rt.Fatal(err)
		}
		w.told = map[string]compute.Lease{}
		for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if _, err := p.RunDue(w.ctx); err != nil {
				rt.Fatal(err)
			}
			if is, err := p.Instances(w.ctx, inventory.InstanceQuery{}); err != nil ||
				len(is) <= 1 && len(w.cloud.IDs()) == len(is) || time.Now().After(limit) {
				break
			}
		}
		w.judge()
		left, err := p.Leases(w.ctx, inventory.LeaseQuery{})
		if err != nil || len(left) > 0 {
			rt.Fatalf("%d leases are left: %v", len(left), err)
		}
		is, err := p.Instances(w.ctx, inventory.InstanceQuery{})
		if err != nil || len(is) > 1 || len(w.cloud.IDs()) != len(is) {
			rt.Fatalf("%d instances are left, and %v at the provider: %v", len(is), w.cloud.IDs(), err)
		}
	})
}
