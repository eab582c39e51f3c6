package pool_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// errNoGPU and the like are what a place says that has no room for what one asks.
var errNoGPU = &compute.Error{Kind: compute.ErrNoCapacity, Err: errors.New("no node has a GPU")}

// picky refuses what is asked of its computers as a test says.
type picky struct {
	compute.Provider
	refuse func(compute.Spec) error
}

func (p picky) Unwrap() compute.Provider { return p.Provider }

func (p picky) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	if err := p.refuse(spec); err != nil {
		return compute.Instance{}, provider.Unasked(err)
	}
	return p.Provider.Create(ctx, spec)
}

func (p picky) Choices(context.Context, string) ([]provider.Named, bool, error) {
	return nil, true, nil
}

// ofPicky runs a test on a source web whose computers are refused as the test says.
func ofPicky(t *testing.T, source func(*pool.Source), refuse func(compute.Spec) error, f func(t *testing.T, ctx context.Context, r *rig)) {
	change := func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return picky{p, refuse}, err
		}
	}
	inBubble(t, change, web(source), f)
}

// TestWantOfItsOwn: that what one request wants cannot be had holds up nobody who asks for less or
// for something else, neither in the queue nor by a pause, nor is he told of it; who asks for as
// much is not tried again for each.
func TestWantOfItsOwn(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name   string
		failed compute.Request   // cannot be had
		waits  []compute.Request // wait for it too
		others []compute.Request // have theirs
	}{
		{"GPU", compute.Request{GPUs: 1}, []compute.Request{{GPUs: 2}, {GPUs: 1, Memory: 8 * gib}, {GPUs: 1, Location: "north"}},
			[]compute.Request{{}, {Memory: 2 * gib}, {Image: "debian"}}},
		{"memory", compute.Request{Memory: 500 * gib},
			[]compute.Request{{Memory: 500 * gib}, {Memory: 600 * gib}, {Memory: 500 * gib, Image: "debian"}},
			[]compute.Request{{}, {Memory: 8 * gib, Cores: 2}, {Cores: 4}, {Image: "debian"}}},
		{
			"place", compute.Request{Location: "south"}, []compute.Request{{Location: "south", Cores: 4}},
			[]compute.Request{{}, {Location: "north"}, {Cores: 4}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			tries := 0
			none := func(s compute.Spec) error {
				if s.GPUs > 0 || s.Memory >= 500*gib || s.Location == "south" {
					mu.Lock()
					defer mu.Unlock()
					tries++
					return errNoGPU
				}
				return nil
			}
			ofPicky(t, func(s *pool.Source) { s.Size.Memory = gib }, none, func(t *testing.T, ctx context.Context, r *rig) {
				ctx, stop := context.WithCancel(ctx)
				defer stop()
				first := c.failed
				first.Source, first.Count, first.Owner, first.Own = "web", 1, "eve", true
				_, err := r.Acquire(ctx, first)
				kind(t, err, compute.ErrNoCapacity)
				var all sync.WaitGroup
				for _, req := range append([]compute.Request{first}, c.waits...) {
					req.Source, req.Count, req.Owner, req.Own, req.Wait = "web", 1, "eve", true, time.Hour
					all.Go(func() {
						if _, err := r.Acquire(ctx, req); ctx.Err() == nil {
							t.Errorf("%+v: err = %v; want ctx.Err() != nil", req, err)
						}
					})
				}
				defer all.Wait()
				defer stop()
				time.Sleep(2 * time.Second)
				was := tries
				for _, req := range c.others {
					began := time.Now()
					var heard []string
					req.Wait = time.Minute
					req.Notify = func(p compute.Progress) { heard = append(heard, p.Reason) }
					r.take(t, ctx, req)
					if d := time.Since(began); d > time.Second || strings.Contains(strings.Join(heard, " "), "GPU") {
						t.Errorf("%+v: it took %v, and he was told %q", req, d, heard)
					}
				}
				time.Sleep(10 * time.Minute)
				mu.Lock()
				if n := tries - was; n < 10 || n > 60 {
					t.Errorf("%d tries in ten minutes", n)
				}
				mu.Unlock()
				queue, err := r.Queue(ctx)
				must(t, err)
				for _, q := range queue {
					if !strings.Contains(q.Reason, "no node has a GPU") {
						t.Errorf("who waits is told %q", q.Reason)
					}
				}
				if s := r.status(t, ctx, "web"); s.LastError != "" || s.Failures != 0 || !s.Paused.IsZero() {
					t.Errorf("of the source it is said: %+v", s)
				}
			})
		})
	}
}

// TestWantIsHad: as soon as there is room again all have theirs who waited for it, and what stands
// ready is kept for who waits for that much.
func TestWantIsHad(t *testing.T) {
	var mu sync.Mutex
	full := true
	refuse := func(s compute.Spec) error {
		mu.Lock()
		defer mu.Unlock()
		if full && s.Memory > 1<<30 {
			return errHall
		}
		return nil
	}
	ofPicky(t, func(s *pool.Source) { s.Reuse = "no" }, refuse, func(t *testing.T, ctx context.Context, r *rig) {
		small := r.take(t, ctx, compute.Request{})
		done := make(chan error, 5)
		for n := range cap(done) {
			go func() {
				_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: time.Hour, Memory: int64(2+n) << 30})
				done <- err
			}()
		}
		time.Sleep(10 * time.Minute)
		mu.Lock()
		full = false
		mu.Unlock()
		// what goes makes room
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, small.Instance))
		start := time.Now()
		for range cap(done) {
			must(t, <-done)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("all had theirs %v after there was room", d)
		}
	})
}

// TestWantThatFails: an image that does not start pauses the source for who wants that image; three
// of them pause it for all.
func TestWantThatFails(t *testing.T) {
	refuse := func(s compute.Spec) error {
		if strings.HasPrefix(s.Image, "bad") {
			return &compute.Error{Kind: compute.ErrFailed, Err: errors.New("no such image: " + s.Image)}
		}
		return nil
	}
	ofPicky(t, func(*pool.Source) {}, refuse, func(t *testing.T, ctx context.Context, r *rig) {
		try := func(image string) error {
			_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Own: true, Image: image})
			return err
		}
		for range 3 {
			kind(t, try("bad1"), compute.ErrFailed)
		}
		if err := try("bad1"); !errors.Is(err, compute.ErrUnavailable) ||
			!strings.Contains(err.Error(), "paused for 10s after 3 failures to create: ") {
			t.Errorf("the fourth time: %v", err)
		}
		must(t, try("good"))
		must(t, try(""))
		es, err := r.Events(ctx, inventory.EventQuery{Source: "web"})
		must(t, err)
		said := 0
		for _, e := range es {
			if e.Kind == "paused" {
				if said++; !strings.HasPrefix(e.Text, "for image bad1: ") {
					t.Errorf("the journal says %q", e.Text)
				}
			}
		}
		if said != 1 {
			t.Errorf("the journal tells %d times of a pause", said)
		}
		for _, image := range []string{"bad2", "bad2", "bad2", "bad3", "bad3", "bad3"} {
			kind(t, try(image), compute.ErrFailed)
		}
		kind(t, try(""), compute.ErrUnavailable)
		time.Sleep(time.Minute)
		must(t, try(""))
		must(t, try("good"))
	})
}
