package pool_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool"
)

// TestIdleWaitsForWhatIsMade: what stands ready does not go, however long it stood idle, for what
// is still being made.
func TestIdleWaitsForWhatIsMade(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve, s.Idle = 2, time.Minute }), func(t *testing.T, ctx context.Context, r *rig) {
		must(t, second(r.Fill(ctx, "web")))
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "create" {
				time.Sleep(time.Hour)
			}
			return nil
		}
		finish, err := r.Do(ctx, plan.Directive{Verb: plan.VerbCreate, Source: "web", Count: 1, Total: 3})
		must(t, err)
		made := make(chan error)
		go func() { made <- finish(ctx) }()
		time.Sleep(30 * time.Minute)
		must(t, second(r.RunDue(ctx)))
		if n := r.webCounts(t, ctx); n.Ready != 2 || n.Creating != 1 {
			t.Errorf("while one is made there are %+v", n)
		}
		must(t, <-made)
		must(t, second(r.RunDue(ctx)))
		if n := r.webCounts(t, ctx); n.Cached() != 2 {
			t.Errorf("once it is made there are %+v", n)
		}
	})
}

// foretold is a provider that can tell beforehand that nothing comes of what is broken.
type foretold struct {
	whole
	kind error
}

func (l foretold) Probe(context.Context, compute.Spec) (string, error) {
	if text, _ := l.Template(); text == "broken" {
		return "", &compute.Error{Kind: l.kind, Err: errors.New("a policy refuses it")}
	}
	return "", nil
}

// TestNoRoomAndHopeless: where the maximum leaves no room and the provider can tell that nothing
// comes of what was changed, nothing that stands ready goes for it, and that is said; where all
// that it can tell is that there is no room, or what was changed becomes ready, one goes at a time.
func TestNoRoomAndHopeless(t *testing.T) {
	for _, c := range []struct {
		kind  error
		text  string
		least int
		all   bool
	}{{compute.ErrDenied, "broken", 3, false}, {compute.ErrNoCapacity, "broken", 2, false}, {compute.ErrDenied, "two", 2, true}} {
		of := &file{text: "one", made: map[compute.ID]string{}}
		change := func(o *pool.Options) {
			of.wrap(o)
			inner := o.Open
			o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
				p, err := inner(ctx, name, typ, def)
				if err != nil {
					return nil, err
				}
				return foretold{whole{p.(likeFile)}, c.kind}, nil
			}
		}
		inBubble(t, change, web(func(s *pool.Source) { s.Reserve, s.Maximum = 3, 3 }), func(t *testing.T, ctx context.Context, r *rig) {
			must(t, second(r.Fill(ctx, "web")))
			of.edit(c.text)
			least := 3
			r.kept(t, ctx, func() {
				for range 100 {
					least = min(least, len(r.ready(t, ctx)))
					time.Sleep(1700 * time.Millisecond)
				}
			})
			news := 0
			for _, id := range r.ready(t, ctx) {
				if of.of(id) == c.text {
					news++
				}
			}
			if least != c.least || (news == 3) != c.all {
				t.Errorf("%s, %v: never fewer than %d ready, and %d of now in the end", c.text, c.kind, least, news)
			}
			if u := r.status(t, ctx, "web").Unready; (u == nil) != c.all {
				t.Errorf("%s, %v: it is said: %v", c.text, c.kind, u)
			} else if u != nil && errors.Is(c.kind, compute.ErrDenied) &&
				(u.Failures != 0 || !strings.Contains(u.Why, "a policy refuses it")) {
				t.Errorf("%s, %v: where none was made %d instances have failed, of %q", c.text, c.kind, u.Failures, u.Why)
			}
		})
	}
}

// TestDiscardLeavesEnough: what a director has decided to discard stays when, since it looked,
// others of the source have gone.
func TestDiscardLeavesEnough(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 4 }), func(t *testing.T, ctx context.Context, r *rig) {
		must(t, second(r.Fill(ctx, "web")))
		r.take(t, ctx, compute.Request{})
		for n, id := range r.ready(t, ctx) {
			if did := r.do(t, ctx, plan.Directive{Verb: plan.VerbDiscard, Source: "web", Instance: id, Least: 3}); did != (n == 0) {
				t.Errorf("%s: it goes: %v", id, did)
			}
		}
		if n := r.webCounts(t, ctx); n.Ready != 2 || n.Leased != 1 {
			t.Errorf("there are %+v", n)
		}
	})
}
