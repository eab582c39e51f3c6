package pool_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// venue is where a source's computers are, as a test has it do.
type venue struct {
	mu    sync.Mutex
	away  bool
	ended map[compute.ID]string
}

func (p *venue) set(away bool, ended map[compute.ID]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away, p.ended = away, ended
}

func (p *venue) error() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return &compute.Error{Op: "place", Kind: compute.ErrUnavailable, Err: errors.New("no route to host")}
	}
	return nil
}

// overseen is a provider in a place.
type overseen struct {
	compute.Provider
	at *venue
}

func (o overseen) Unwrap() compute.Provider { return o.Provider }

func (o overseen) WatchHealth(context.Context) (map[compute.ID]string, error) {
	if err := o.at.error(); err != nil {
		return nil, err
	}
	o.at.mu.Lock()
	defer o.at.mu.Unlock()
	return o.at.ended, nil
}

func (o overseen) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	if err := o.at.error(); err != nil {
		return compute.Instance{}, provider.Unasked(err)
	}
	return o.Provider.Create(ctx, spec)
}

func (o overseen) Check(ctx context.Context, id compute.ID) error {
	if err := o.at.error(); err != nil {
		return err
	}
	return o.Provider.(provider.Checker).Check(ctx, id)
}

func (o overseen) Destroy(ctx context.Context, id compute.ID) error {
	if err := o.at.error(); err != nil {
		return err
	}
	return o.Provider.Destroy(ctx, id)
}

// inPlaces runs a test on sources a and b, each in a place, and a pool over both, with what is due
// done as a controller does it.
func inPlaces(t *testing.T, f func(t *testing.T, ctx context.Context, r *rig, a *venue)) {
	places := map[string]*venue{"a": {}, "b": {}}
	change := func(o *pool.Options) {
		open := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := open(ctx, name, typ, def)
			return overseen{p, places[name]}, err
		}
	}
	inBubble(t, change, []pool.Source{
		{Name: "a", Type: "fake", Digest: "d", Reserve: 2, Maximum: 4, Reuse: "no"}, {Name: "b", Type: "fake", Digest: "d", Reuse: "no"},
		{Name: "both", Type: "pool", Digest: "d", Children: []string{"a", "b"}},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		ctx, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		all.Go(func() {
			for ctx.Err() == nil {
				var began sync.WaitGroup
				_, _ = r.Reconcile(ctx, pool.ReconcileOptions{Go: began.Go, Done: func() {}, Failed: func(error) {}})
				began.Wait()
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		})
		defer all.Wait()
		defer stop()
		_, err := r.Fill(ctx, "a")
		must(t, err)
		f(t, ctx, r, places["a"])
	})
}

func (r *rig) status(t *testing.T, ctx context.Context, name string) inventory.SourceStatus {
	t.Helper()
	all, err := r.Status(ctx)
	must(t, err)
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no source %s", name)
	return inventory.SourceStatus{}
}

// TestAway: a place that does not answer for ten minutes loses nothing. Its leases stay, what
// stands ready there is given to nobody, others of a pool serve; then all is as before.
func TestAway(t *testing.T) {
	inPlaces(t, func(t *testing.T, ctx context.Context, r *rig, a *venue) {
		mine := r.take(t, ctx, compute.Request{Source: "a"})
		done := r.take(t, ctx, compute.Request{Source: "a"})
		time.Sleep(time.Minute)
		_, err := r.Fill(ctx, "a")
		must(t, err)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, done.Instance))
		_, err = r.Fill(ctx, "a")
		must(t, err)
		ready := r.status(t, ctx, "a").Counts.Ready
		if ready == 0 {
			t.Fatal("nothing is ready")
		}
		time.Sleep(time.Minute)
		a.set(true, nil)
		// nobody has found out yet
		if got := r.take(t, ctx, compute.Request{Source: "both"}); got.Instance != "both-b-1" {
			t.Errorf("got %s", got.Instance)
		}
		// it cannot be told now
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, mine.Instance))
		for range 10 {
			time.Sleep(time.Minute)
			s := r.status(t, ctx, "a")
			if s.Available == nil || *s.Available != 0 || s.Counts.Ready != ready ||
				!strings.Contains(s.LastError, "no route to host") || !s.Paused.After(time.Now()) {
				t.Fatalf(
					"s = %+v"+
						"; want s.Available != nil and *s.Available == 0 and s.Counts.Ready == ready and "+
						`s.LastError with "no route to host" and s.Paused.After(time.Now())`,
					s,
				)
			}
			_, err := r.Acquire(ctx, compute.Request{Source: "a", Count: 1, Owner: "ann"})
			kind(t, err, compute.ErrUnavailable)
			if errors.Is(err, compute.ErrNoCapacity) || !strings.Contains(err.Error(), "no route to host") {
				t.Errorf("who asks for it alone is told %v", err)
			}
		}
		a.set(false, nil)
		time.Sleep(12 * time.Second)
		if s := r.status(t, ctx, "a"); s.Counts.Ready != ready || s.Counts.Discarding != 0 || s.LastError != "" ||
			s.Available == nil || *s.Available == 0 {
			t.Errorf("afterwards %+v", s)
		}
		if got := r.take(t, ctx, compute.Request{Source: "both"}); !strings.HasPrefix(string(got.Instance), "both-a-") {
			t.Errorf("afterwards a pool gives %s", got.Instance)
		}
	})
}

// TestAwayLeasesStay, and who waits has his when the place answers.
func TestAwayLeasesStay(t *testing.T) {
	inPlaces(t, func(t *testing.T, ctx context.Context, r *rig, a *venue) {
		mine := r.take(t, ctx, compute.Request{Source: "a"})
		front := r.take(t, ctx, compute.Request{Source: "both"})
		a.set(true, map[compute.ID]string{mine.Instance: "nobody knows"})
		time.Sleep(time.Minute)
		var mu sync.Mutex
		said := ""
		got := make(chan compute.Lease, 1)
		go func() {
			got <- r.take(t, ctx, compute.Request{Source: "a", Wait: time.Hour, Notify: func(p compute.Progress) {
				mu.Lock()
				defer mu.Unlock()
				said += p.Reason
			}})
		}()
		time.Sleep(10 * time.Minute)
		for _, l := range []compute.Lease{mine, front} {
			if _, err := r.Authorize(ctx, compute.Who{Owner: "ann", Lease: l.ID}, l.Instance); err != nil {
				t.Errorf("the lease of %s: %v", l.Instance, err)
			}
		}
		mu.Lock()
		if !strings.Contains(said, "no route to host") {
			t.Errorf("who waits is told %q", said)
		}
		mu.Unlock()
		a.set(false, nil)
		back := time.Now()
		<-got
		if d := time.Since(back); d > 15*time.Second {
			t.Errorf("it had it %v after the place was back", d)
		}
	})
}

// TestEnded: leases on computers that have ended end, with the reason; what stood ready goes.
func TestEnded(t *testing.T) {
	inPlaces(t, func(t *testing.T, ctx context.Context, r *rig, a *venue) {
		mine := r.take(t, ctx, compute.Request{Source: "a"})
		front := r.take(t, ctx, compute.Request{Source: "both"})
		_, err := r.Fill(ctx, "a")
		must(t, err)
		leaf, err := r.Leaf(ctx, front.Instance)
		must(t, err)
		is, err := r.Instances(ctx, inventory.InstanceQuery{Source: "a", States: []compute.State{compute.Ready}})
		must(t, err)
		ended := map[compute.ID]string{mine.Instance: "evicted: no memory", leaf.ID: "evicted: no memory", "a-1000": "it was another's"}
		for _, i := range is {
			ended[i.ID] = "evicted: no memory"
		}
		a.set(false, ended)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		for _, l := range []compute.Lease{mine, front} {
			ls, err := r.Leases(ctx, inventory.LeaseQuery{Instance: l.Instance, Ended: true})
			must(t, err)
			if len(ls) != 1 || !strings.Contains(ls[0].Why, "evicted: no memory") {
				t.Errorf("the lease of %s: %+v", l.Instance, ls)
			}
			if s := r.state(t, ctx, l.Instance); s != "gone" {
				t.Errorf("%s is %s", l.Instance, s)
			}
			_, err = r.Connect(ctx, ann, l.Instance)
			if kind(t, err, compute.ErrNotLeased); !strings.Contains(err.Error(), "evicted: no memory") {
				t.Errorf("whose it was is told %v", err)
			}
			_, err = r.Connect(ctx, compute.Who{Owner: "bob"}, l.Instance)
			if kind(t, err, compute.ErrNotFound); strings.Contains(err.Error(), "evicted") {
				t.Errorf("another is told %v", err)
			}
		}
		for id := range ended {
			if s := r.state(t, ctx, id); s != "gone" {
				t.Errorf("%s is %s", id, s)
			}
		}
	})
}
