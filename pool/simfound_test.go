package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store"
)

// What the simulator found, as plain tests.

// again2 is a store that runs each transaction twice, as it may.
type again2 struct{ pool.Store }

var errAgain = errors.New("run again")

func (s again2) Update(ctx context.Context, fn func(store.Tx) error) error {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errAgain
	})
	if !errors.Is(err, errAgain) {
		return err
	}
	return s.Store.Update(ctx, fn)
}

// TestFoundRunAgain makes an instance on a store that runs each transaction twice.
func TestFoundRunAgain(t *testing.T) {
	r := newRig(t, t.TempDir(), map[string]*fake.Cloud{}, []pool.Source{{
		Name: "web", Type: "fake", Digest: "d", Reserve: 1, Hooks: []string{"provision", "release"},
	}},
		func(o *pool.Options) {
			o.Store = again2{o.Store}
			o.Hooks = func(_ context.Context, call pool.HookCall) error { return call.Done(1, "1-x") }
		})
	for range 2 {
		ls, err := r.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann"})
		must(t, err)
		must(t, r.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, ls[0].Instance))
	}
}

// TestFoundInnerHooks releases a pool's instance whose inner source has release hooks too: each
// runs once, and its token opens what it is told.
func TestFoundInnerHooks(t *testing.T) {
	var r *rig
	var ran []string
	r = newRig(t, t.TempDir(), map[string]*fake.Cloud{}, []pool.Source{
		{Name: "web", Type: "fake", Digest: "d", Hooks: []string{"release"}},
		{Name: "all", Type: "pool", Digest: "d", Children: []string{"web"}, Reserve: 1, Hooks: []string{"release"}},
	}, func(o *pool.Options) {
		o.Hooks = func(ctx context.Context, call pool.HookCall) error {
			for n := call.Resume + 1; n <= 2; n++ {
				ran = append(ran, fmt.Sprintf("%s %d", call.Instance.ID, n))
				if _, err := r.Authorize(ctx, compute.Who{Lease: call.Lease}, call.Instance.ID); err != nil {
					return err
				}
				if err := call.Done(n, "x"); err != nil {
					return err
				}
			}
			return nil
		}
	})
	ls, err := r.Acquire(t.Context(), compute.Request{Source: "all", Count: 1, Owner: "ann"})
	must(t, err)
	must(t, r.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, ls[0].Instance))
	if want := []string{"all-web-1 1", "all-web-1 2", "web-1 1", "web-1 2"}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
	if i, _, err := r.Resolve(t.Context(), "all-web-1"); err != nil || i.State != compute.Ready {
		t.Errorf("it is %s, %v", i.State, err)
	}
}

// TestFoundChildStays lets the provision hook of a pool fail: its discard hook must not meet a
// computer that somebody else could have, and what the pool did to it is cleaned before the next
// has it.
func TestFoundChildStays(t *testing.T) {
	var r *rig
	var state compute.State
	r = newRig(t, t.TempDir(), map[string]*fake.Cloud{}, []pool.Source{
		{Name: "web", Type: "fake", Digest: "d", Reserve: 1},
		{Name: "all", Type: "pool", Digest: "d", Children: []string{"web"}, Hooks: []string{"provision", "discard"}},
	}, func(o *pool.Options) {
		o.Hooks = func(ctx context.Context, call pool.HookCall) error {
			if call.Event == "provision" {
				return errors.New("no")
			}
			i, _, err := r.Resolve(ctx, "web-1")
			state = i.State
			return err
		}
	})
	if ls, err := r.Acquire(t.Context(), compute.Request{Source: "all", Count: 1, Owner: "ann"}); err == nil {
		t.Fatalf("given %v", ls)
	}
	_, err := r.RunDue(t.Context())
	must(t, err)
	if state != compute.Leased {
		t.Errorf("the discard hook of all met web-1 %q", state)
	}
	es, err := r.Events(t.Context(), inventory.EventQuery{Instance: "web-1"})
	must(t, err)
	if !slices.ContainsFunc(es, func(e compute.Event) bool { return e.Kind == "cleaned" }) {
		t.Errorf("web-1 was not cleaned: %v", es)
	}
}

// TestFoundShut lets the provider not open during a release: the next acquire finds it open again.
func TestFoundShut(t *testing.T) {
	dir, clouds := t.TempDir(), map[string]*fake.Cloud{}
	sources := []pool.Source{{Name: "web", Type: "fake", Digest: "d", Reserve: 1}}
	r := newRig(t, dir, clouds, sources, nil)
	ls, err := r.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann"})
	must(t, err)
	shut := true
	r = newRig(t, dir, clouds, sources, func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			if shut {
				return nil, errors.New("shut")
			}
			return open(ctx, name, typ, def)
		}
	})
	if err := r.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, ls[0].Instance); err != nil {
		t.Logf("release: %v", err)
	}
	shut = false
	_, err = r.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann"})
	must(t, err)
}

// fixed is a fake of machines that stay.
type fixed struct{ compute.Provider }

func (f fixed) Unwrap() compute.Provider { return f.Provider }
func (f fixed) Names() []string          { return []string{"a"} }
func (f fixed) AsIs() bool               { return false }

func (f fixed) Lookup(compute.ID) (i compute.Instance, ok bool) { return i, false }

// TestFoundFixedToken lets an acquire hook use a machine that stays, at its first hand-out.
func TestFoundFixedToken(t *testing.T) {
	var r *rig
	ran := 0
	r = newRig(t, t.TempDir(), map[string]*fake.Cloud{}, []pool.Source{{
		Name: "web", Type: "fake", Digest: "d", Hooks: []string{"acquire"},
	}},
		func(o *pool.Options) {
			open := o.Open
			o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
				p, err := open(ctx, name, typ, def)
				return fixed{p}, err
			}
			o.Hooks = func(ctx context.Context, call pool.HookCall) error {
				ran++
				_, err := r.Use(ctx, compute.Who{Lease: call.Lease}, call.Instance.ID)
				return err
			}
		})
	_, err := r.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann"})
	if must(t, err); ran != 1 {
		t.Errorf("%d acquire hooks ran", ran)
	}
}
