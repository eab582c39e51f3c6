package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// choosing has the source web choose images, and keeps what is made of which.
func choosing(c *chooser) func(*pool.Options) {
	return func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			if name != "web" || err != nil {
				return p, err
			}
			return &chooser{Provider: p, specs: c.specs, mu: c.mu}, nil
		}
	}
}

func (c *chooser) image(id compute.ID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.specs[id].Image
}

func (r *rig) webCounts(t *testing.T, ctx context.Context) (c inventory.Counts) {
	t.Helper()
	must(t, r.store.View(ctx, func(tx store.Tx) error {
		rec, err := tx.Source("web", "d")
		if err == nil {
			c = rec.Counts
		}
		return err
	}))
	return c
}

// ready lists the ready instances of web.
func (r *rig) ready(t *testing.T, ctx context.Context) (ids []compute.ID) {
	t.Helper()
	must(t, r.store.View(ctx, func(tx store.Tx) error {
		ids = nil
		is, err := tx.Instances(inventory.InstanceQuery{Source: "web", States: []compute.State{compute.Ready}})
		for _, i := range is {
			ids = append(ids, i.ID)
		}
		return err
	}))
	return ids
}

// TestRollOut promotes images while others take instances and give them back: there are never fewer
// than the reserve, nobody loses what he has, an image whose instances do not become ready is gone
// back from, and in the end all that stands ready came from the image that counts.
func TestRollOut(t *testing.T) {
	for seed := range uint64(8) {
		dice := rand.New(rand.NewPCG(seed, 1))
		reserve, room, users := 1+dice.IntN(6), 1+dice.IntN(4), dice.IntN(4)
		bad := dice.IntN(3) == 0
		c := &chooser{specs: map[compute.ID]compute.Spec{}, mu: &sync.Mutex{}}
		sources := web(func(s *pool.Source) { s.Reserve, s.Maximum, s.Image = reserve, reserve+room, "base" })
		inBubble(t, choosing(c), sources, func(t *testing.T, ctx context.Context, r *rig) {
			r.fail = func(_, op string, id compute.ID) error {
				switch op {
				case "create":
					time.Sleep(time.Second)
				case "connect":
					if bad && c.image(id) == "i-9" {
						return &compute.Error{Kind: compute.ErrFailed, Err: errors.New("its boot loader is broken")}
					}
				}
				return nil
			}
			_, err := r.Fill(ctx, "web")
			must(t, err)
			ctx, cancel := context.WithCancel(ctx)
			var all sync.WaitGroup
			all.Go(func() {
				for ctx.Err() == nil {
					n := r.webCounts(t, context.Background())
					there := n.Ready
					if users > 0 { // a release counts on what is being made, as ever
						there = n.Cached() + n.InUse()
					}
					if there < reserve && !(users > 0 && bad) { // and that may fail
						t.Errorf("seed %d: of %d there are %+v", seed, reserve, n)
						return
					}
					time.Sleep(333 * time.Millisecond)
				}
			})
			for u := range users {
				own := rand.New(rand.NewPCG(seed, uint64(u)+2))
				all.Go(func() {
					for ctx.Err() == nil {
						ls, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: time.Hour, CachedOnly: true})
						if err == nil && len(ls) == 1 {
							time.Sleep(time.Duration(own.IntN(3000)) * time.Millisecond)
							rest := context.Background()
							if _, e := r.Authorize(rest, ann, ls[0].Instance); e != nil {
								t.Errorf("seed %d: %s was taken away: %v", seed, ls[0].Instance, e)
							}
							must(t, r.Release(rest, ann, compute.ReleaseOptions{}, ls[0].Instance))
						}
						time.Sleep(time.Duration(own.IntN(2000)) * time.Millisecond)
					}
				})
			}
			_, err = r.Promote(ctx, "web", "debian-12")
			must(t, err)
			must(t, r.roll(ctx))
			_, err = r.Promote(ctx, "web", "debian-9")
			must(t, err)
			// While all are in use there is nothing to replace, so it may come out later.
			want, failures := "i-9", 0
			try := func(ctx context.Context) {
				for {
					err := r.roll(ctx)
					if err == nil {
						return
					}
					if failures++; !bad || failures > 1 ||
						!strings.Contains(err.Error(), "debian-9 did not become ready, and it is back to debian-12") {
						t.Fatalf("seed %d: %v", seed, err)
					}
				}
			}
			try(ctx)
			time.Sleep(10 * time.Second)
			cancel()
			all.Wait()
			try(context.Background())
			if bad {
				want = "i-12"
			}
			_, err = r.Fill(context.Background(), "web")
			must(t, err)
			if n := len(r.ready(t, context.Background())); n < reserve {
				t.Errorf("seed %d: of %d in the end there are %d", seed, reserve, n)
			}
			if bad != (failures == 1) {
				t.Errorf("seed %d: %d failures", seed, failures)
			}
			for _, id := range r.ready(t, context.Background()) {
				if got := c.image(id); got != want {
					t.Errorf("seed %d: %s came from %s, not %s", seed, id, got, want)
				}
			}
			now, err := r.Promotions(context.Background())
			must(t, err)
			if pr := now["web"]; pr.Image != want || !pr.Proved || bad != (pr.Failed == "debian-9") {
				t.Errorf("seed %d: %+v", seed, pr)
			}
		})
	}
}

// roll replaces until nothing is left, over and over as long as there is no room since others use
// what there is.
func (r *rig) roll(ctx context.Context) error {
	for {
		err := r.RollOut(ctx, "web", nil)
		if !errors.Is(err, compute.ErrNoCapacity) {
			return err
		}
		time.Sleep(time.Second)
	}
}

// TestPromoteBack: back to what was before, as often as there was something; and what is refused.
func TestPromoteBack(t *testing.T) {
	c := &chooser{specs: map[compute.ID]compute.Spec{}, mu: &sync.Mutex{}}
	sources := append(web(func(s *pool.Source) { s.Reserve, s.Image = 2, "base" }),
		pool.Source{
			Name: "front", Type: "pool", Digest: "d", Children: []string{"web"},
		}, pool.Source{Name: "plain", Type: "fake", Digest: "e"})
	inBubble(t, choosing(c), sources, func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "web")
		must(t, err)
		for _, name := range []string{"debian-9", "debian-12", "debian-12"} {
			_, err := r.Promote(ctx, "web", name)
			must(t, err)
		}
		var said []string
		must(t, r.RollOut(ctx, "web", func(text string) { said = append(said, text) }))
		if len(said) != 4 || said[0] != "web: 1 instances are made from debian-12" {
			t.Errorf("said %q", said)
		}
		for _, want := range []string{"i-9", ""} {
			pr, err := r.PromoteBack(ctx, "web")
			must(t, err)
			if pr.Image != want {
				t.Errorf("back to %+v", pr)
			}
		}
		_, err = r.PromoteBack(ctx, "web")
		kind(t, err, compute.ErrConflict)
		must(t, r.RollOut(ctx, "web", nil))
		ids := r.ready(t, ctx)
		for _, id := range ids {
			if got := c.image(id); got != "base" {
				t.Errorf("%s came from %s", id, got)
			}
		}
		if len(ids) != 2 {
			t.Errorf("ready are %v", ids)
		}
		for name, image := range map[string]string{"web": "ubuntu", "plain": "debian", "front": "debian-9", "none": "x"} {
			if _, err := r.Promote(ctx, name, image); err == nil ||
				!errors.Is(err, compute.ErrInvalid) && !errors.Is(err, compute.ErrNotFound) {
				t.Errorf("%s of %s: %v", image, name, err)
			}
		}
		// One without room says so, and nothing is discarded.
		_, err = r.Promote(ctx, "web", "debian-9")
		must(t, err)
		tight := web(func(s *pool.Source) { s.Reserve, s.Maximum, s.Image = 2, 2, "base" })
		full := newRigOn(t, r.store, r.clouds, tight, choosing(c))
		err = full.RollOut(ctx, "web", nil)
		kind(t, err, compute.ErrNoCapacity)
		if !strings.Contains(err.Error(), "no room for instances of the promoted image") || len(r.ready(t, ctx)) != 2 {
			t.Errorf("%v, and ready are %v", err, r.ready(t, ctx))
		}
		// Another image in its definition, and the promotion does not count any more.
		other := newRigOn(t, r.store, r.clouds, web(func(s *pool.Source) { s.Reserve, s.Image = 2, "other" }), choosing(c))
		if now, err := other.Promotions(ctx); err != nil || len(now) != 0 {
			t.Errorf("promotions %v, %v", now, err)
		}
	})
}
