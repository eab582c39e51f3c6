package pool_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// hanging is a provider whose calls of one kind last until their context ends.
type hanging struct {
	compute.Provider
	op string
}

func (h hanging) Unwrap() compute.Provider { return h.Provider }

func (h hanging) hang(ctx context.Context, op string) error {
	if op != h.op {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (h hanging) Clean(ctx context.Context, id compute.ID) (string, error) {
	if err := h.hang(ctx, "clean"); err != nil {
		return "", err
	}
	return h.Provider.(provider.Cleaner).Clean(ctx, id)
}

func (h hanging) Destroy(ctx context.Context, id compute.ID) error {
	if err := h.hang(ctx, "destroy"); err != nil {
		return err
	}
	return h.Provider.Destroy(ctx, id)
}

func (h hanging) List(ctx context.Context) ([]compute.Instance, error) {
	if err := h.hang(ctx, "list"); err != nil {
		return nil, err
	}
	return h.Provider.List(ctx)
}

// background looks as a controller does, until the test ends.
func (r *rig) background(ctx context.Context) (bell chan struct{}, end func()) {
	ctx, stop := context.WithCancel(ctx)
	bell = make(chan struct{}, 1)
	ring := func() {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			_, _ = r.Reconcile(ctx, pool.ReconcileOptions{Go: all.Go, Done: ring})
			select {
			case <-ctx.Done():
			case <-bell:
			case <-time.After(10 * time.Second):
			}
		}
	})
	return bell, func() { stop(); all.Wait() }
}

// TestOneHangsAndTheOthersGoOn: whatever of a provider hangs, and however many of its instances
// wait for it, what other sources have to do is done.
func TestOneHangsAndTheOthersGoOn(t *testing.T) {
	const many = 50
	for _, op := range []string{"clean", "destroy", "list", "open"} {
		t.Run(op, func(t *testing.T) {
			stuck := op != "open"
			sources := []pool.Source{
				{Name: "bad", Type: "fake", Digest: "d", Reserve: many},
				{Name: "good", Type: "fake", Digest: "d", Reserve: 1},
				{Name: "both", Type: "pool", Digest: "d", Children: []string{"bad", "good"}, Reserve: many + 1},
			}
			if op == "destroy" {
				sources[0].Reserve, sources[2].Reserve = 0, 0
			}
			change := func(o *pool.Options) {
				o.Later, o.Inventory = func(string, string) bool { return true }, true
				open := o.Open
				o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
					if name == "bad" && !stuck && op == "open" {
						return open(ctx, name, typ, def)
					} else if name == "bad" && op == "open" {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					p, err := open(ctx, name, typ, def)
					if name == "bad" {
						p = hanging{p, op}
					}
					return p, err
				}
			}
			inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
				bad, err := r.Acquire(ctx, compute.Request{Source: "bad", Count: many, Owner: "ann", TTL: 2 * time.Minute})
				must(t, err)
				front, err := r.Acquire(ctx, compute.Request{Source: "both", Count: 1, Owner: "ann"})
				must(t, err)
				if op == "open" { // another process, which does not get it open
					stuck = true
					r = newRigOn(t, r.store, r.clouds, sources, change)
				}
				bell, end := r.background(ctx)
				defer end()
				var names []compute.ID
				for _, l := range bad[:many/2] {
					names = append(names, l.Instance)
				}
				if op != "open" { // there their ttl ends them
					must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, append(names, front[0].Instance)...))
				}
				time.Sleep(4 * time.Minute)
				for n := range 6 {
					l := r.take(t, ctx, compute.Request{Source: "good"})
					start := time.Now()
					must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
					select {
					case bell <- struct{}{}:
					default:
					}
					for r.state(t, ctx, l.Instance) == compute.Cleaning {
						time.Sleep(time.Second)
						if waited := time.Since(start); waited > 2*time.Minute {
							t.Fatalf("round %d: %s is not clean after %v", n, l.Instance, waited)
						}
					}
				}
				is, err := r.Instances(ctx, inventory.InstanceQuery{SourceKey: 0, Busy: true})
				must(t, err)
				if op != "list" && len(is) == 0 {
					t.Error("nothing hangs: the test is none")
				}
				for _, i := range is {
					if i.Source == "good" {
						t.Errorf("%s is %s", i.ID, i.State)
					}
				}
			})
		})
	}
}

// TestHangingCleanEnds: an instance whose cleaning never ends is given up, and its source makes
// another.
func TestHangingCleanEnds(t *testing.T) {
	change := func(o *pool.Options) {
		o.Later = func(string, string) bool { return true }
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return hanging{p, "clean"}, err
		}
	}
	inBubble(t, change, web(func(s *pool.Source) { s.Reserve, s.Maximum = 1, 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		_, end := r.background(ctx)
		defer end()
		l := r.take(t, ctx, compute.Request{})
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		if l := r.take(t, ctx, compute.Request{Wait: 2 * time.Hour}); l.Instance != "web-2" {
			t.Errorf("it got %s", l.Instance)
		}
	})
}

// TestControllersTakeStock: what a provider lists as ours and has no record goes, also where it is
// looked at by Tend, and so does what is old in the journal.
func TestControllersTakeStock(t *testing.T) {
	inBubble(t, func(o *pool.Options) { o.Inventory = true }, web(func(s *pool.Source) { s.Reserve = 1 }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		_, err := r.Fill(ctx, "web")
		must(t, err)
		_, err = r.fakes["web"].Create(ctx, compute.Spec{ID: "web-99", Source: "web", Installation: r.store.Installation()})
		must(t, err)
		_, end := r.background(ctx)
		time.Sleep(time.Minute)
		end()
		if ids := r.clouds["web"].IDs(); fmt.Sprint(ids) != "[web-1]" {
			t.Errorf("%v are there", ids)
		}
		time.Sleep(31 * 24 * time.Hour)
		_, end = r.background(ctx)
		time.Sleep(time.Second)
		end()
		es, err := r.Events(ctx, inventory.EventQuery{})
		must(t, err)
		if len(es) != 0 {
			t.Errorf("after a month the journal has %d lines, the first of them of %v", len(es), es[0].Time)
		}
	})
}

// TestEnginesOnOneDesk: a process that makes its engine anew for each look, as the keeper does,
// begins nothing twice: where a provider hangs, no more of its calls are under way than of one
// engine, its list is asked for once, and other sources go on.
func TestEnginesOnOneDesk(t *testing.T) {
	const many = 40
	desk := &pool.Inflight{}
	var destroys, lists atomic.Int64
	sources := []pool.Source{{Name: "bad", Type: "fake", Digest: "d"}, {Name: "good", Type: "fake", Digest: "d", Reserve: 1}}
	change := func(o *pool.Options) {
		o.Inflight, o.Inventory, o.Later = desk, true, func(string, string) bool { return true }
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			if name == "bad" {
				p = counted{hanging{p, "destroy"}, &destroys, &lists}
			}
			return p, err
		}
	}
	inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
		ctx, cancel := context.WithCancel(ctx)
		var all sync.WaitGroup
		defer all.Wait()
		defer cancel()
		bad, err := r.Acquire(ctx, compute.Request{Source: "bad", Count: many, Owner: "ann"})
		must(t, err)
		var names []compute.ID
		for _, l := range bad {
			names = append(names, l.Instance)
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, names...))
		for n := range 6 {
			l := r.take(t, ctx, compute.Request{Source: "good"})
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
			engine := newRigOn(t, r.store, r.clouds, sources, change)
			_, err := engine.Reconcile(ctx, pool.ReconcileOptions{Go: all.Go, Done: func() {}})
			must(t, err)
			time.Sleep(time.Second)
			if s := r.state(t, ctx, l.Instance); s != compute.Ready {
				t.Errorf("look %d: %s is %s", n, l.Instance, s)
			}
		}
		if n := destroys.Load(); n != 8 {
			t.Errorf("%d are being destroyed at once, and 8 may be", n)
		}
		if n := lists.Load(); n != 1 {
			t.Errorf("its list was asked for %d times", n)
		}
	})
}

// counted counts calls.
type counted struct {
	compute.Provider
	destroys, lists *atomic.Int64
}

func (c counted) Unwrap() compute.Provider { return c.Provider }

func (c counted) Destroy(ctx context.Context, id compute.ID) error {
	c.destroys.Add(1)
	return c.Provider.Destroy(ctx, id)
}

func (c counted) List(ctx context.Context) ([]compute.Instance, error) {
	c.lists.Add(1)
	return c.Provider.List(ctx)
}
