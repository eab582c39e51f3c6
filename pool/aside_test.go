package pool_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// lingering is a provider of which what is asked to end does not until something is so, as pods
// whose node does not answer.
type lingering struct {
	compute.Provider
	over  func(compute.ID) bool
	asked *atomic.Int64
}

func (l lingering) Unwrap() compute.Provider { return l.Provider }

func (l lingering) Destroy(ctx context.Context, id compute.ID) error {
	if !l.over(id) {
		l.asked.Add(1)
		return nil
	}
	return l.Provider.Destroy(ctx, id)
}

// TestLongEndsHoldUpNobody: where many computers of a source do not end though they were asked to,
// the others of it do.
func TestLongEndsHoldUpNobody(t *testing.T) {
	const many, stay = 60, 40
	var asked atomic.Int64
	var back atomic.Bool
	change := func(o *pool.Options) {
		o.Later = func(string, string) bool { return true }
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			stays := map[compute.ID]bool{}
			for n := range stay {
				stays[compute.ID(fmt.Sprint("web-", n+1))] = true
			}
			return lingering{p, func(id compute.ID) bool { return back.Load() || !stays[id] }, &asked}, err
		}
	}
	inBubble(t, change, web(func(s *pool.Source) { s.Reuse = "no" }), func(t *testing.T, ctx context.Context, r *rig) {
		all, err := r.Acquire(ctx, compute.Request{Source: "web", Count: many, Owner: "ann"})
		must(t, err)
		var names []compute.ID
		for _, l := range all {
			names = append(names, l.Instance)
		}
		_, end := r.background(ctx)
		defer end()
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, names...))
		time.Sleep(time.Minute)
		if n := len(r.clouds["web"].IDs()); n != stay {
			t.Errorf("after a minute %d are there, and %d do not end", n, stay)
		}
		before := asked.Load()
		time.Sleep(10 * time.Second)
		if n := asked.Load() - before; n > 10*stay/2 {
			t.Errorf("they were asked %d times in ten seconds", n)
		}
		back.Store(true)
		time.Sleep(2 * time.Minute)
		if ids := r.clouds["web"].IDs(); len(ids) > 0 {
			t.Errorf("in the end there are %v", ids)
		}
	})
}
