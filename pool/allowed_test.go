package pool_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/pool"
)

// TestOthersChoose: what others than the owner choose is judged by the keys of the source that
// makes it, also behind a pool, and by the names that they give alone.
func TestOthersChoose(t *testing.T) {
	c := &chooser{specs: map[compute.ID]compute.Spec{}, mu: &sync.Mutex{}}
	change := func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			if name == "plain" || err != nil {
				return p, err
			}
			c.Provider = p
			return c, nil
		}
		o.Projects = func(name string) pool.Project {
			if name == "narrow" {
				return pool.Project{Limits: policy.Limits{Images: []string{"base"}}}
			}
			return pool.Project{}
		}
	}
	sources := append(web(func(s *pool.Source) { s.Policy.Images = []string{"debian-*", "base"} }),
		pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"plain", "web"}},
		pool.Source{
			Name: "strict", Type: "pool", Digest: "f", Children: []string{"web"},
			Policy: policy.Source{Limits: policy.Limits{Images: []string{"base"}}},
		},
		pool.Source{Name: "outer", Type: "pool", Digest: "h", Children: []string{"strict"}},
		pool.Source{Name: "bare", Type: "pool", Digest: "g", Children: []string{"plain"}},
		pool.Source{Name: "plain", Type: "fake", Digest: "e"})
	inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
		for _, ask := range []struct {
			req  compute.Request
			kind error
			says string
		}{
			{compute.Request{Source: "web", Image: "debian-12"}, nil, "web-"},
			{compute.Request{Source: "web", Image: "debian"}, compute.ErrDenied, `may not choose the image "debian"`},
			// which begins one
			{compute.Request{Source: "web", Image: "debian-1"}, compute.ErrNotFound, "no image of this name"},
			// which is the id of one
			{compute.Request{Source: "web", Image: "i-12"}, compute.ErrDenied, `"i-12"`},
			{compute.Request{Source: "web", Image: "base", Project: "narrow"}, nil, "web-"},
			{compute.Request{Source: "web", Image: "debian-12", Project: "narrow"}, compute.ErrDenied, "of the project"},
			// and plain, which comes first, lets nobody choose
			{compute.Request{Source: "front", Image: "debian-12"}, nil, "front-web-"},
			{compute.Request{Source: "strict", Image: "debian-12"}, compute.ErrDenied, "strict"},
			{compute.Request{Source: "strict", Image: "base"}, nil, "strict-web-"},
			// a pool between narrows, too
			{compute.Request{Source: "outer", Image: "debian-12"}, compute.ErrDenied, "strict"},
			{compute.Request{Source: "outer", Image: "base"}, nil, "outer-strict-web-"},
			{compute.Request{Source: "bare", Image: "base"}, compute.ErrDenied, "no image"},
			{compute.Request{Source: "plain"}, nil, "plain-"},
		} {
			ask.req.Count, ask.req.Owner = 1, "eve"
			ls, err := r.Acquire(ctx, ask.req)
			if ask.kind != nil {
				if kind(t, err, ask.kind); err != nil && !strings.Contains(err.Error(), ask.says) {
					t.Errorf("%+v: err = %v; want no error or err.Error() with ask.says", ask.req, err)
				}
				continue
			}
			if must(t, err); !strings.HasPrefix(string(ls[0].Instance), ask.says) {
				t.Errorf(
					"%+v: ls[0].Instance = %s"+
						"; want strings.HasPrefix(string(ls[0].Instance), ask.says)",
					ask.req, ls[0].Instance,
				)
			}
		}
		for id, s := range c.specs {
			if s.Image != "" && s.Image != "i-12" && s.Image != "i-b" {
				t.Errorf("%s was made of %q", id, s.Image)
			}
		}
	})
}

// TestLimitsBind: the sizes that a source says bind its owner too.
func TestLimitsBind(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Policy.Most.Memory = 1 << 30 }), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Own: true, Memory: 2 << 30})
		kind(t, err, compute.ErrTooLarge)
		r.take(t, ctx, compute.Request{Memory: 1 << 30})
	})
}
