package server_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/pool/pooltest"
	"github.com/hostler-project/hostler/provider/fake"
)

// stuck is a provider whose Create does not come back until its context ends.
type stuck struct {
	compute.Provider
	inside *atomic.Int32 // of all that were opened
}

func (s *stuck) Create(ctx context.Context, _ compute.Spec) (compute.Instance, error) {
	s.inside.Add(1)
	defer s.inside.Add(-1)
	<-ctx.Done()
	return compute.Instance{}, ctx.Err()
}

func (s *stuck) Unwrap() compute.Provider { return s.Provider }

// TestProviderHangs: other sources go on beside a provider that hangs, and a request for one of its
// instances ends when its asker hangs up.
func TestProviderHangs(t *testing.T) {
	var inside atomic.Int32
	p := pooltest.New(
		t, []pool.Source{{Name: "web", Type: "fake", Digest: "d"}, {Name: "hangs", Type: "fake", Digest: "d"}},
		pooltest.RigOptions{Fake: fake.Options{Exec: "exec"}, Wrap: func(name string, f compute.Provider) compute.Provider {
			if name == "web" {
				return f
			}
			return &stuck{Provider: f, inside: &inside}
		}},
	).Pool
	at := served(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := connect(t, "http://"+at, "bob").Acquire(ctx, compute.Request{Source: "hangs", Count: 1})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a request that hangs: %v", err)
			}
		})
	}
	for limit := time.Now().Add(time.Minute); inside.Load() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it was not asked")
		}
	}
	for range 5 {
		works(t, at)
	}
	if s, err := connect(t, "http://"+at, "root").Status(t.Context()); err != nil || len(s) != 2 {
		t.Errorf("status: %v, %v", s, err)
	}
	cancel()
	all.Wait()
	for limit := time.Now().Add(time.Minute); inside.Load() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d still hang, whose askers have gone", inside.Load())
		}
	}
	leases, err := p.Leases(t.Context(), inventory.LeaseQuery{Source: "hangs"})
	if err != nil || len(leases) != 0 {
		t.Errorf("leases of it: %v, %v", leases, err)
	}
}

// TestManyWatchers: five hundred of them hear everything, while leases are taken and given back.
func TestManyWatchers(t *testing.T) {
	const watchers, rounds = 500, 4
	p := engine(t)
	at := served(t, p)
	c := connect(t, "http://"+at, "root")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	var heard [watchers]atomic.Int64
	for n := range watchers {
		all.Go(func() {
			_ = c.Watch(ctx, inventory.EventQuery{}, func(e compute.Event) error {
				if e.Kind == "leased" {
					heard[n].Add(1)
				}
				return nil
			})
		})
	}
	for range rounds {
		works(t, at)
	}
	for limit := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		late := 0
		for n := range heard {
			if heard[n].Load() < rounds {
				late++
			}
		}
		if late == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%d of %d have not heard all", late, watchers)
		}
	}
	cancel()
	all.Wait()
	for n := range heard {
		if got := heard[n].Load(); got != rounds {
			t.Errorf("watcher %d heard of %d leases, there were %d", n, got, rounds)
		}
	}
}
