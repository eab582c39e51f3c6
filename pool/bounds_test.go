package pool_test

import (
	"context"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// TestBounds: within bounds nobody acts on leases of other projects or sources, nor by a lease's id
// on another's, nor on what is not in use.
func TestBounds(t *testing.T) {
	inBubble(t, nil, []pool.Source{
		{Name: "web", Type: "fake", Digest: "d", Reserve: 3}, {Name: "db", Type: "fake", Digest: "d"},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		in := func(who compute.Who, source string, projects ...string) compute.Who {
			who.Within = &compute.Bounds{Projects: projects, Source: source}
			return who
		}
		bob, any := compute.Who{Owner: "bob"}, compute.Who{Owner: "bob", Admin: true}
		a := r.take(t, ctx, compute.Request{Project: "a"})
		if a.Project != "a" {
			t.Fatalf(`a = %+v; want a.Project == "a"`, a)
		}
		byID := compute.Who{Owner: "bob", Lease: a.ID}
		own := compute.Who{Owner: "ann", Lease: a.ID}
		idle := r.take(t, ctx, compute.Request{})
		// the reserve keeps it
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, idle.Instance))
		for _, test := range []struct {
			name string
			who  compute.Who
			want error
		}{
			{"another project's", in(ann, "", "b"), compute.ErrNotFound},
			{"the default project's", in(ann, "", ""), compute.ErrNotFound},
			{"in no project", in(ann, ""), nil}, // of all
			{"another source's", in(ann, "db", "a"), compute.ErrNotFound},
			{"another's", in(bob, "", "a"), compute.ErrDenied},
			{"another's by its id", in(byID, "", "a"), compute.ErrDenied},
			{"another's by its id, elsewhere", in(byID, "", "b"), compute.ErrNotFound},
			{"anybody's, elsewhere", in(any, "", "b", "c"), compute.ErrNotFound},
			{"anybody's", in(any, "", "a"), nil},
			{"his own", in(ann, "web", "a"), nil},
			{"his own by its id", in(own, "", "a"), nil},
		} {
			try := func(what string, err error) {
				t.Helper()
				if test.want == nil {
					must(t, err)
				} else if err == nil {
					t.Errorf("%s: %s: let in", test.name, what)
				} else {
					kind(t, err, test.want)
				}
			}
			for _, name := range []compute.ID{a.Instance, compute.ID(a.ID)} {
				_, err := r.Use(ctx, test.who, name)
				try("use", err)
				_, err = r.Extend(ctx, test.who, 0, name)
				try("extend", err)
				c, err := r.Connect(ctx, test.who, name)
				try("connect", err)
				if err == nil {
					must(t, c.Close())
				}
				if test.want != nil {
					try("release", r.Release(ctx, test.who, compute.ReleaseOptions{}, name))
					try("discard", r.Release(ctx, test.who, compute.ReleaseOptions{Discard: true, Force: true}, name))
					try("hold", r.Hold(ctx, test.who, "", name))
				}
			}
		}
		kind(t, r.Hold(ctx, in(any, "", "a"), "", idle.Instance), compute.ErrDenied)
		kind(t, r.Release(ctx, in(any, "", "a"), compute.ReleaseOptions{Discard: true}, idle.Instance), compute.ErrDenied)
		if got := r.state(t, ctx, idle.Instance); got != compute.Ready {
			t.Errorf("it is %s", got)
		}
		must(t, r.Hold(ctx, in(any, "", "a"), "why", a.Instance))
		held, err := r.Events(ctx, inventory.EventQuery{Instance: a.Instance, Newest: 1})
		if err != nil || len(held) != 1 || held[0].Kind != "held" || held[0].Project != "a" {
			t.Errorf(
				"held = %+v, err = %v"+
					`; want no error and len(held) == 1 and held[0].Kind == "held" and held[0].Project == "a"`,
				held, err,
			)
		}
	})
}
