package pool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// places is a provider whose configuration leads to one of several places, as a kubeconfig's
// current context does, and where computers may be replaced under their name.
type places struct {
	compute.Provider // of the place where all begins
	other            compute.Provider
	at               *string
	life             map[compute.ID]int
}

func (p *places) now() compute.Provider {
	if *p.at == "here" {
		return p.Provider
	}
	return p.other
}

func (p *places) Create(ctx context.Context, s compute.Spec) (compute.Instance, error) {
	return p.now().Create(ctx, s)
}

func (p *places) Destroy(ctx context.Context, id compute.ID) error { return p.now().Destroy(ctx, id) }

func (p *places) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	return p.now().Connect(ctx, id)
}

func (p *places) Check(ctx context.Context, id compute.ID) error {
	return p.now().(provider.Checker).Check(ctx, id)
}

func (p *places) Identity(_ context.Context, id compute.ID) (string, error) {
	return fmt.Sprint(*p.at, " ", p.life[id]), nil
}

func (p *places) Leads(_ context.Context, identity string) error {
	if place, _, _ := strings.Cut(identity, " "); place != *p.at {
		return &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("it leads elsewhere")}
	}
	return nil
}

func (p *places) Same(ctx context.Context, id compute.ID, identity string) error {
	if now, _ := p.Identity(ctx, id); now != identity && p.Leads(ctx, identity) == nil {
		return &compute.Error{Kind: compute.ErrFailed, Err: errors.New("it was replaced")}
	}
	return p.Leads(ctx, identity)
}

// placed has each source lead to one of two places, by what at says.
func placed(at *string, life map[compute.ID]int) func(*pool.Options) {
	return func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			here, err := inner(ctx, name, typ, def)
			if err != nil {
				return nil, err
			}
			there, err := inner(ctx, "there", typ, def)
			return &places{Provider: here, other: there, at: at, life: life}, err
		}
	}
}

// TestPlaces has nothing be said of an instance where it is not: a name that nobody has in another
// place is not gone, and what has it there is not entered.
func TestPlaces(t *testing.T) {
	at, life := "here", map[compute.ID]int{}
	change := placed(&at, life)
	inBubble(t, change, web(func(s *pool.Source) { s.Reuse, s.Spare = "no", 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		l := r.take(t, ctx, compute.Request{})
		at = "there"
		_, err := r.Connect(ctx, ann, l.Instance)
		kind(t, err, compute.ErrUnavailable)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		_, _ = r.Reconcile(ctx, pool.ReconcileOptions{})
		if s := r.state(t, ctx, l.Instance); s != compute.Discarding {
			t.Errorf("looked for where it is not it is %s", s)
		}
		if made := r.clouds["web"].IDs(); len(made) != 1 {
			t.Errorf("there are %v", made)
		}

		// The answer to a creation is lost, and when it is asked for the configuration leads
		// elsewhere.
		at = "here"
		r.fail = func(_, op string, _ compute.ID) error {
			if op != "create" {
				return nil
			}
			at = "there"
			return provider.Asked(&compute.Error{Kind: compute.ErrTimeout, Err: errors.New("lost")})
		}
		_, err = r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
		r.fail = nil
		kind(t, err, compute.ErrTimeout)
		_, _ = r.Reconcile(ctx, pool.ReconcileOptions{})
		if s := r.state(t, ctx, "web-2"); s != compute.Discarding && s != compute.Failed {
			t.Errorf("one that may have been made where nobody looks now is %s", s)
		}

		// One that stands ready is given to nobody from elsewhere, and stays.
		at = "here"
		_, err = r.Fill(ctx, "web")
		must(t, err)
		time.Sleep(time.Minute)
		at = "there"
		l = r.take(t, ctx, compute.Request{})
		if s := r.state(t, ctx, "web-3"); s != compute.Ready || l.Instance != "web-4" {
			t.Errorf("one that stood ready is %s, and %s was given", s, l.Instance)
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{Discard: true}, l.Instance))
		time.Sleep(2 * time.Minute)

		// One that was replaced under its name is not entered, but taken away.
		at = "here"
		l = r.take(t, ctx, compute.Request{})
		life[l.Instance]++
		_, err = r.Connect(ctx, ann, l.Instance)
		kind(t, err, compute.ErrFailed)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		if s := r.state(t, ctx, l.Instance); s != "gone" {
			t.Errorf("the one that was replaced is %s", s)
		}
	})
}
