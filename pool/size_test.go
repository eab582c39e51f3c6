package pool_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// sized is a provider whose computers have so many cores, and that keeps what it was asked to make.
type sized struct {
	compute.Provider
	cores map[compute.ID]string

	mu    sync.Mutex
	specs map[compute.ID]compute.Spec
}

func (s *sized) Unwrap() compute.Provider { return s.Provider }

func (s *sized) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	s.mu.Lock()
	s.specs[spec.ID] = spec
	s.mu.Unlock()
	i, err := s.Provider.Create(ctx, spec)
	if cores := s.cores[spec.ID]; cores != "" {
		i.Facts = map[string]string{"cores": cores}
	}
	return i, err
}

func TestSizes(t *testing.T) {
	s := &sized{cores: map[compute.ID]string{"web-1": "2", "web-2": "8", "web-3": "4"}, specs: map[compute.ID]compute.Spec{}}
	change := func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (p compute.Provider, err error) {
			s.Provider, err = inner(ctx, name, typ, def)
			return s, err
		}
	}
	sources := append(
		web(func(s *pool.Source) { s.Reserve, s.Maximum = 2, 3 }),
		pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}},
	)
	inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "web") // web-1 and web-2
		must(t, err)
		time.Sleep(time.Second)
		if l := r.take(t, ctx, compute.Request{Cores: 8}); l.Instance != "web-2" {
			t.Errorf("8 cores: %s", l.Instance)
		}
		if s := r.state(t, ctx, "web-1"); s != compute.Ready {
			t.Errorf("what was passed over is %s", s)
		}
		// A new one that turns out to be too small is not handed out, and is no failure of the
		// source.
		_, err = r.Acquire(ctx, compute.Request{Source: "front", Count: 1, Owner: "ann", Cores: 6, Memory: 7, Disk: 8, Wait: time.Hour})
		kind(t, err, compute.ErrNoCapacity)
		if s.specs["web-3"].Cores != 6 || s.specs["web-3"].Memory != 7 || s.specs["web-3"].Disk != 8 {
			t.Errorf("asked for %+v", s.specs["web-3"])
		}
		if s := r.state(t, ctx, "web-3"); s != "gone" {
			t.Errorf("it is %s", s)
		}
		all, err := r.Status(ctx)
		must(t, err)
		for _, s := range all {
			if s.Failures > 0 {
				t.Errorf("%s: %d failures", s.Name, s.Failures)
			}
		}
		// One that nobody knows the size of may do.
		if l := r.take(t, ctx, compute.Request{Cores: 6}); l.Instance != "web-4" {
			t.Errorf("6 cores: %s", l.Instance)
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{Force: true}, "web-4"))
		if l := r.take(t, ctx, compute.Request{Source: "front", Cores: 2}); l.Instance != "front-web-1" {
			t.Errorf("2 cores of a pool: %s", l.Instance)
		}
	})
}

// TestTooSmallForGood asks for more than anything has or can have: what stands ready makes room for
// it once, and then it is said at once, whoever has what there is.
func TestTooSmallForGood(t *testing.T) {
	s := &sized{cores: map[compute.ID]string{"web-1": "2", "web-2": "4", "web-3": "4", "web-4": "4"}, specs: map[compute.ID]compute.Spec{}}
	change := func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (p compute.Provider, err error) {
			s.Provider, err = inner(ctx, name, typ, def)
			return s, err
		}
	}
	inBubble(t, change, web(func(s *pool.Source) { s.Reserve, s.Maximum = 2, 2 }), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "web")
		must(t, err)
		r.take(t, ctx, compute.Request{Cores: 4})
		start := time.Now()
		_, err = r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Cores: 5, Wait: time.Hour})
		kind(t, err, compute.ErrNoCapacity)
		if d := time.Since(start); d > time.Minute { // of the bubble's clock
			t.Errorf("after %v", d)
		}
		_, err = r.Fill(ctx, "web")
		must(t, err)
		_, err = r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Cores: 5, Wait: 5 * time.Minute})
		kind(t, err, compute.ErrTimeout)
		if is := r.ready(t, ctx); len(is) != 1 || is[0] != "web-4" {
			t.Errorf("after one was made in vain for it, another went: %v", is)
		}
		// Four cores there are, and somebody has them: that is worth waiting for.
		r.take(t, ctx, compute.Request{})
		_, err = r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Cores: 4, Wait: 5 * time.Minute})
		kind(t, err, compute.ErrTimeout)
	})
}

// TestOtherChildLater: one child of a pool never has what is asked for. The other has, but it is in
// use. That is worth waiting for, and little is made in vain meanwhile.
func TestOtherChildLater(t *testing.T) {
	s := &sized{cores: map[compute.ID]string{"a-1": "8"}, specs: map[compute.ID]compute.Spec{}}
	for n := range 100 {
		s.cores[compute.ID(fmt.Sprint("b-", n))] = "2"
	}
	change := func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			return &sized{Provider: p, cores: s.cores, specs: map[compute.ID]compute.Spec{}}, err
		}
	}
	inBubble(t, change, []pool.Source{
		{Name: "a", Type: "fake", Digest: "d", Maximum: 1},
		{Name: "b", Type: "fake", Digest: "d", Maximum: 2},
		{Name: "front", Type: "pool", Digest: "d", Children: []string{"a", "b"}},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		r.take(t, ctx, compute.Request{Source: "a", Cores: 8})
		time.AfterFunc(10*time.Minute, func() {
			if err := r.Release(ctx, ann, compute.ReleaseOptions{}, "a-1"); err != nil {
				t.Error(err)
			}
		})
		ls, err := r.Acquire(ctx, compute.Request{Source: "front", Count: 1, Owner: "ann", Cores: 6, Wait: time.Hour})
		must(t, err)
		if ls[0].Instance != "front-a-1" && ls[0].Instance != "front-a-2" {
			t.Errorf("got %s, want one of a", ls[0].Instance)
		}
		made, err := r.Events(ctx, inventory.EventQuery{Limit: 1000})
		must(t, err)
		vain := map[compute.ID]bool{}
		for _, e := range made {
			if strings.HasPrefix(string(e.Instance), "b-") {
				vain[e.Instance] = true
			}
		}
		if len(vain) == 0 || len(vain) > 20 {
			t.Errorf("%d of b were made in vain in 10 minutes, want 1 to 20", len(vain))
		}
	})
}
