package pool_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// TestOverseenApart: a process that tends what is due without overseeing asks for that by itself.
// It has nothing open yet of what others have leased, and opens it; where there is nothing to
// oversee, nothing is to be done again.
func TestOverseenApart(t *testing.T) {
	at, opened := &venue{}, 0
	change := func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			opened++
			if name == "plain" {
				return p, err
			}
			return overseen{p, at}, err
		}
	}
	sources := append(web(func(s *pool.Source) { s.Reuse = "no" }), pool.Source{Name: "plain", Type: "fake", Digest: "p", Reuse: "no"})
	inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
		plain := r.take(t, ctx, compute.Request{Source: "plain"})
		keeper := newRigOn(t, r.store, r.clouds, sources, change)
		var all sync.WaitGroup
		done, news := 0, 0
		with := pool.ReconcileOptions{Go: all.Go, Done: func() { done++ }, Failed: func(err error) { t.Error(err) }, Apart: true}
		oversee := func() time.Time {
			next, err := keeper.WatchHealth(ctx, with, func() { news++ })
			must(t, err)
			all.Wait()
			return next
		}
		opened = 0
		oversee()
		if next := oversee(); !next.IsZero() || opened != 1 {
			t.Errorf("with nothing to oversee: again at %v, %d were opened", next, opened)
		}
		l := r.take(t, ctx, compute.Request{})
		opened = 0
		if next := oversee(); next.IsZero() || opened != 1 || done != 0 {
			t.Errorf("with a lease of it: again at %v, %d were opened, %d changes", next, opened, done)
		}
		at.set(false, map[compute.ID]string{l.Instance: "it was evicted"})
		time.Sleep(11 * time.Second)
		tended, err := keeper.Reconcile(ctx, with)
		must(t, err)
		all.Wait()
		if ls, err := r.Leases(ctx, inventory.LeaseQuery{}); err != nil || len(ls) != 2 || !tended.IsZero() || done != 0 {
			t.Errorf("after what is due: %d leases, again at %v, %d changes: %v", len(ls), tended, done, err)
		}
		oversee()
		ls, err := r.Leases(ctx, inventory.LeaseQuery{Instance: l.Instance, Ended: true})
		must(t, err)
		if len(ls) != 1 || !strings.Contains(ls[0].Why, "it was evicted") || done != 1 || news != 0 {
			t.Errorf("its lease: %+v; %d changes, %d news", ls, done, news)
		}
		if s := r.state(t, ctx, plain.Instance); s != compute.Leased {
			t.Errorf("%s is %s", plain.Instance, s)
		}
	})
}
