package server_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// TestManyAtOnce: 500 requests, 100 at once, for fewer ready ones than are asked for: none fails,
// who waits hears at which place and for about how long, and nobody moves back.
func TestManyAtOnce(t *testing.T) {
	const atOnce, each, ready = 100, 5, 10
	var mu sync.Mutex
	bad := map[int]int{} // answers by status
	url := serveObserved(t, engine(t, pool.Source{Name: "many", Type: "fake", Digest: "d", Reserve: ready, Maximum: ready, Reuse: "as-is"}),
		func(_, _ string, status int, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if status >= 400 {
				bad[status]++
			}
		})
	c := connect(t, url, "ann")
	ann := compute.Who{Owner: "ann"}
	free := func(ls []compute.Lease) error {
		var ids []compute.ID
		for _, l := range ls {
			ids = append(ids, l.Instance)
		}
		return c.Release(t.Context(), ann, compute.ReleaseOptions{}, ids...)
	}
	take := func() []compute.Lease {
		ls, err := c.Acquire(t.Context(), compute.Request{Source: "many", Count: ready})
		if err != nil {
			t.Fatal(err)
		}
		return ls
	}
	lasted(t, c, "many")
	held := take()
	estimated := 0
	use := func(ctx context.Context, first bool) {
		place, told := 0, false
		ls, err := c.Acquire(ctx, compute.Request{Source: "many", Count: 1, Wait: -1, Notify: func(p compute.Progress) {
			if p.Phase != "wait" {
				return
			}
			if p.Position < 1 || place > 0 && p.Position > place {
				t.Errorf("it stands at place %d, after %d", p.Position, place)
			}
			place, told = p.Position, told || p.Estimate > 0
		}})
		if err != nil {
			t.Errorf("it got nothing: %v", err)
			return
		}
		mu.Lock()
		if first && told { // of those who come later some find one free
			estimated++
		}
		mu.Unlock()
		if err := free(ls); err != nil {
			t.Errorf("release: %v", err)
		}
	}
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for n := range each {
				use(t.Context(), n == 0)
			}
		})
	}
	eventually(t, "all of the first wait", func() bool {
		sources, err := c.Status(t.Context())
		if err != nil {
			t.Error(err)
		}
		return slices.ContainsFunc(sources, func(s inventory.SourceStatus) bool { return s.Name == "many" && s.Waiting == atOnce })
	})
	if err := free(held); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	waiting, err := c.Queue(t.Context())
	left, err2 := c.Leases(t.Context(), inventory.LeaseQuery{})
	if err := errors.Join(err, err2); err != nil || len(waiting)+len(left) != 0 {
		t.Errorf("left over: %v %v %v", waiting, left, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(bad) != 0 {
		t.Errorf("answers with bad statuses: %v", bad)
	}
	if estimated != atOnce {
		t.Errorf("%d heard an estimate, and %d had to wait", estimated, atOnce)
	}
}
