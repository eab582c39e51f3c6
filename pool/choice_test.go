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
	"github.com/hostler-project/hostler/provider"
)

// chooser is a provider with images to choose from, that keeps what it was asked to make.
type chooser struct {
	compute.Provider

	mu    *sync.Mutex
	specs map[compute.ID]compute.Spec
}

func (c *chooser) Unwrap() compute.Provider { return c.Provider }

func (c *chooser) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	c.mu.Lock()
	c.specs[spec.ID] = spec
	c.mu.Unlock()
	return c.Provider.Create(ctx, spec)
}

func (c *chooser) Choices(_ context.Context, kind string) ([]provider.Named, bool, error) {
	switch kind {
	case provider.Images:
		return []provider.Named{{ID: "i-9", Name: "debian-9"}, {ID: "i-12", Name: "debian-12"}, {ID: "i-b", Name: "base"}}, false, nil
	case provider.Flavors:
		return nil, true, nil
	}
	return nil, false, &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("no locations")}
}

func TestChoice(t *testing.T) {
	c := &chooser{specs: map[compute.ID]compute.Spec{}, mu: &sync.Mutex{}}
	change := func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			if name != "web" || err != nil {
				return p, err
			}
			c.Provider = p
			return c, nil
		}
	}
	sources := append(web(func(s *pool.Source) { s.Reserve, s.Image = 2, "base" }),
		pool.Source{
			Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}, Reserve: 5,
		}, pool.Source{Name: "plain", Type: "fake", Digest: "e"})
	inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Fill(ctx, "web") // web-1 and web-2
		must(t, err)
		time.Sleep(time.Second)
		l := r.take(t, ctx, compute.Request{Image: "debian", Flavor: "large"})
		if s := c.specs[l.Instance]; l.Instance != "web-3" || s.Image != "i-12" || s.Flavor != "large" {
			t.Errorf("%s, made as %+v", l.Instance, s)
		}
		if s := c.specs["web-1"]; s.Image != "base" || s.Flavor != "" {
			t.Errorf("one of the source's own is made as %+v", s)
		}
		i, _, err := r.Resolve(ctx, string(l.Instance))
		must(t, err)
		if f := i.Facts; f["image"] != "i-12" || f["flavor"] != "large" || f[provider.FactChosen] != "image i-12, flavor large" {
			t.Errorf("facts %v", f)
		}
		// What is not as the source says goes when it comes back, though the source wants more than
		// there are.
		must(t, r.Release(ctx, compute.Who{Owner: l.Owner}, compute.ReleaseOptions{}, l.Instance))
		time.Sleep(time.Minute)
		if s := r.state(t, ctx, l.Instance); s != "gone" {
			t.Errorf("what was chosen is %s after its release", s)
		}
		behind, err := r.Acquire(ctx, compute.Request{Source: "front", Count: 1, Owner: "ann", Own: true, Image: "debian-9"})
		must(t, err)
		if got := behind[0].Instance; got != "front-web-4" || c.specs["web-4"].Image != "i-9" {
			t.Errorf("a pool gave %s, made as %+v", got, c.specs["web-4"])
		}
		must(t, r.Release(ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, behind[0].Instance))
		time.Sleep(time.Minute)
		if s := r.state(t, ctx, "web-4"); s != "gone" {
			t.Errorf("what was chosen behind a pool is %s after its release", s)
		}
		made := len(c.specs)
		for _, bad := range []struct {
			req  compute.Request
			kind error
			says string
		}{
			{compute.Request{Source: "web", Image: "ubuntu"}, compute.ErrNotFound, "no image of this name"},
			{compute.Request{Source: "web", Location: "north"}, compute.ErrInvalid, "no locations"},
			{compute.Request{Source: "plain", Image: "debian"}, compute.ErrInvalid, "no images to choose from"},
			{compute.Request{Source: "front", Image: "ubuntu", Wait: time.Hour}, compute.ErrNotFound, "no image of this name"},
		} {
			bad.req.Count, bad.req.Owner, bad.req.Own = 1, "ann", true
			start := time.Now()
			_, err := r.Acquire(ctx, bad.req)
			kind(t, err, bad.kind)
			if err != nil && !strings.Contains(err.Error(), bad.says) || time.Since(start) > time.Minute {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		if len(c.specs) != made {
			t.Errorf("%d were made of what cannot be had", len(c.specs)-made)
		}
		all, err := r.Status(ctx)
		must(t, err)
		for _, s := range all {
			if s.Failures > 0 {
				t.Errorf("%s: %d failures", s.Name, s.Failures)
			}
		}
	})
}

func TestChoiceOfShares(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Share = true }), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Own: true, Image: "x"})
		kind(t, err, compute.ErrInvalid)
	})
}
