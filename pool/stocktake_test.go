package pool_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// looked is an overseen provider that counts how often it is asked.
type looked struct {
	overseen
	asked  *atomic.Int64
	reborn reborn
}

func (c looked) Unwrap() compute.Provider { return c.Provider }

func (c looked) WatchHealth(ctx context.Context) (map[compute.ID]string, error) {
	c.asked.Add(1)
	return c.overseen.WatchHealth(ctx)
}

// reborn are computers that are others than they were, under the same names.
type reborn map[compute.ID]bool

func (l looked) Identity(context.Context, compute.ID) (string, error) { return "the first", nil }
func (l looked) Leads(context.Context, string) error                  { return nil }

func (l looked) Same(_ context.Context, id compute.ID, _ string) error {
	l.at.mu.Lock()
	defer l.at.mu.Unlock()
	if l.reborn[id] {
		return &compute.Error{Kind: compute.ErrFailed, Err: compute.Ended(errors.New("another has its name"))}
	}
	return nil
}

// overseenOften runs a test on the source web, in a place, with what is due done as a controller
// does it after start was called.
func overseenOften(
	t *testing.T,
	f func(t *testing.T, ctx context.Context, r *rig, at *venue, asked *atomic.Int64, others reborn, start func()),
) {
	at, asked, others := &venue{}, &atomic.Int64{}, reborn{}
	change := func(o *pool.Options) {
		o.Inventory = true
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return looked{overseen{p, at}, asked, others}, err
		}
	}
	inBubble(t, change, web(func(s *pool.Source) { s.Reuse, s.Reserve = "no", 4 }), func(t *testing.T, ctx context.Context, r *rig) {
		ctx, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		defer all.Wait()
		defer stop()
		f(t, ctx, r, at, asked, others, func() {
			all.Go(func() {
				for ctx.Err() == nil {
					var began sync.WaitGroup
					_, _ = r.Reconcile(ctx, pool.ReconcileOptions{Go: began.Go, Done: func() {}})
					began.Wait()
					select {
					case <-ctx.Done():
					case <-time.After(time.Second):
					}
				}
			})
		})
	})
}

// TestAbsent: what has ended while nobody looked is no lease any more, and stands ready no more,
// from the first look at what the provider lists. What that says it has stays.
func TestAbsent(t *testing.T) {
	overseenOften(t, func(t *testing.T, ctx context.Context, r *rig, at *venue, _ *atomic.Int64, others reborn, start func()) {
		mine, stays, replaced := r.take(t, ctx, compute.Request{}), r.take(t, ctx, compute.Request{}), r.take(t, ctx, compute.Request{})
		_, err := r.Fill(ctx, "web")
		must(t, err)
		is, err := r.Instances(ctx, inventory.InstanceQuery{Source: "web", States: []compute.State{compute.Ready}})
		must(t, err)
		if len(is) != 1 {
			t.Fatalf("ready are %v", is)
		}
		gone := []compute.ID{mine.Instance, is[0].ID}
		for _, id := range gone {
			for n := 0; ; n++ {
				if err := r.fakes["web"].Destroy(ctx, id); errors.Is(err, compute.ErrNotFound) {
					break
				} else if err != nil || n > 100 {
					t.Fatalf("%s does not end: %v", id, err)
				}
			}
		}
		at.mu.Lock()
		others[replaced.Instance] = true
		at.mu.Unlock()
		start()
		time.Sleep(15 * time.Second)
		for id, why := range map[compute.ID]string{
			mine.Instance:     "its computer has ended: it was gone",
			replaced.Instance: "its computer has ended: another has its name",
		} {
			ls, err := r.Leases(ctx, inventory.LeaseQuery{Instance: id, Ended: true})
			must(t, err)
			if len(ls) != 1 || !strings.Contains(ls[0].Why, why) {
				t.Errorf("the lease of %s: %+v", id, ls)
			}
		}
		for _, id := range append(gone, replaced.Instance) {
			if s := r.state(t, ctx, id); s != "gone" {
				t.Errorf("%s is %s", id, s)
			}
		}
		if s := r.state(t, ctx, stays.Instance); s != compute.Leased {
			t.Errorf("%s is %s", stays.Instance, s)
		}
	})
}

// TestOverseenWithoutAny: a provider is asked also when its source has no instances any more, as it
// may have other things to put away; that its place does not answer then is no news.
func TestOverseenWithoutAny(t *testing.T) {
	overseenOften(t, func(t *testing.T, ctx context.Context, r *rig, at *venue, asked *atomic.Int64, _ reborn, start func()) {
		l := r.take(t, ctx, compute.Request{})
		start()
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		time.Sleep(time.Minute)
		if s := r.state(t, ctx, l.Instance); s != "gone" {
			t.Fatalf("%s is %s", l.Instance, s)
		}
		asked.Store(0)
		time.Sleep(10*time.Minute + time.Second)
		if n := asked.Load(); n < 9 || n > 11 {
			t.Errorf("in ten minutes it was asked %d times", n)
		}
		at.set(true, nil)
		time.Sleep(5 * time.Minute)
		if s := r.status(t, ctx, "web"); s.LastError != "" {
			t.Errorf("nothing is there, and it is said that %s", s.LastError)
		}
	})
}
