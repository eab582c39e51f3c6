package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// facts is a provider whose computers have facts.
type facts struct {
	compute.Provider
	of map[string]string
}

func (f facts) Unwrap() compute.Provider { return f.Provider }

func (f facts) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	i, err := f.Provider.Create(ctx, spec)
	i.Facts = f.of
	return i, err
}

// four is a computer of four cores.
var four = map[string]string{"cores": "4", "memory": "8000", "disk": "20", "gpus": "1"}

// withFacts gives all computers the same facts.
func withFacts(of map[string]string) func(*pool.Options) {
	return func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			return facts{p, of}, err
		}
	}
}

func sharing(change func(*pool.Source)) []pool.Source {
	return web(func(s *pool.Source) { s.Share = true; change(s) })
}

// shares takes parts of instances, all of one size, and returns "instance lease" of each.
func (r *rig) shares(t *testing.T, ctx context.Context, n int, req compute.Request) []compute.Lease {
	t.Helper()
	req.Count = n
	if req.Source == "" {
		req.Source = "web"
	}
	if req.Owner == "" {
		req.Owner = "ann"
	}
	ls, err := r.Acquire(ctx, req)
	must(t, err)
	return ls
}

func instancesOf(ls []compute.Lease) string {
	var out []string
	for _, l := range ls {
		out = append(out, string(l.Instance))
	}
	return strings.Join(out, " ")
}

func (r *rig) free(t *testing.T, ctx context.Context, ls ...compute.Lease) {
	t.Helper()
	for _, l := range ls {
		must(t, r.Release(ctx, compute.Who{Owner: l.Owner}, compute.ReleaseOptions{}, compute.ID(l.ID)))
	}
}

// TestSharesPack: leases lie beside each other as long as there is room, on the fullest instance
// that has it.
func TestSharesPack(t *testing.T) {
	inBubble(t, withFacts(four), sharing(func(s *pool.Source) { s.Reserve, s.Maximum = 1, 3 }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		one := r.shares(t, ctx, 1, compute.Request{})
		if l := one[0]; l.Instance != "web-1" || l.Share == nil || l.Share.Cores != 1 || l.Share.Memory != 0 {
			t.Fatalf("without sizes: %+v, share %+v", l, l.Share)
		}
		two := r.shares(t, ctx, 2, compute.Request{Cores: 1.5, Memory: 100})
		if got := instancesOf(two); got != "web-1 web-1" || two[0].Generation != one[0].Generation {
			t.Fatalf("beside it: %s, generations %d and %d", got, one[0].Generation, two[0].Generation)
		}
		// Full now; two more need another, and the next goes where less is free.
		three := r.shares(t, ctx, 2, compute.Request{Cores: 1})
		if got := instancesOf(three); got != "web-2 web-2" {
			t.Fatalf("the next: %s", got)
		}
		r.free(t, ctx, one...) // web-1 has 1 free, web-2 has 2
		if got := instancesOf(r.shares(t, ctx, 1, compute.Request{Cores: 0.5})); got != "web-1" {
			t.Errorf("half a core: %s", got)
		}
		if got := instancesOf(r.shares(t, ctx, 1, compute.Request{Cores: 2})); got != "web-2" {
			t.Errorf("two cores: %s", got)
		}
		if got := instancesOf(r.shares(t, ctx, 1, compute.Request{Cores: 1, GPUs: 1})); got != "web-3" {
			t.Errorf("a GPU: %s", got)
		}
		// No GPU is left but on full ones.
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Cores: 1.5, GPUs: 1})
		kind(t, err, compute.ErrNoCapacity)
		// More than any has.
		_, err = r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Cores: 5, Wait: time.Hour})
		kind(t, err, compute.ErrNoCapacity)
		if s := r.counts(t, ctx); s.InUse() != 3 || s.Cached() != 0 {
			t.Errorf("counts are %+v", s)
		}
	})
}

func (r *rig) counts(t *testing.T, ctx context.Context) inventory.Counts {
	t.Helper()
	all, err := r.Status(ctx)
	must(t, err)
	i := slices.IndexFunc(all, func(s inventory.SourceStatus) bool { return s.Name == "web" })
	return all[i].Counts
}

// TestSharesNone: parts without cores have places of their own, two for each core.
func TestSharesNone(t *testing.T) {
	inBubble(t, withFacts(four), sharing(func(s *pool.Source) { s.Maximum = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		r.shares(t, ctx, 1, compute.Request{Cores: 4})
		ls := r.shares(t, ctx, 8, compute.Request{Cores: -1})
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Cores: -1})
		kind(t, err, compute.ErrNoCapacity)
		r.free(t, ctx, ls[3])
		r.shares(t, ctx, 1, compute.Request{Cores: -1})
	})
}

// TestSharesEnd: the instance goes back when the last of its leases has ended, however they end;
// and is cleaned then, not before.
func TestSharesEnd(t *testing.T) {
	inBubble(t, withFacts(four), sharing(func(s *pool.Source) { s.Reserve = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		must(t, second(r.Fill(ctx)))
		ls := r.shares(t, ctx, 2, compute.Request{})
		brief := r.shares(t, ctx, 1, compute.Request{Owner: "bob", TTL: time.Minute})
		r.free(t, ctx, ls[0])
		r.free(t, ctx, ls[0]) // again is no error
		if s := r.state(t, ctx, "web-1"); s != compute.Leased {
			t.Fatalf("after the first it is %s", s)
		}
		time.Sleep(2 * time.Minute)
		_, err := r.Authorize(ctx, compute.Who{Owner: "bob"}, "web-1")
		kind(t, err, compute.ErrNotLeased)
		_, err = r.Authorize(ctx, compute.Who{Owner: "bob", Lease: brief[0].ID}, "web-1")
		kind(t, err, compute.ErrNotLeased)
		_, err = r.Authorize(ctx, ann, compute.ID(ls[1].ID))
		must(t, err)
		_, err = r.RunDue(ctx)
		must(t, err)
		if s := r.state(t, ctx, "web-1"); s != compute.Leased {
			t.Fatalf("after the second it is %s", s)
		}
		if n := r.events(t, ctx, "web-1", "cleaning"); n != 0 {
			t.Errorf("%d cleanings while it is in use", n)
		}
		before := ls[1].Generation
		r.free(t, ctx, ls[1])
		if s := r.state(t, ctx, "web-1"); s != compute.Ready {
			t.Fatalf("after the last it is %s", s)
		}
		if n := r.events(t, ctx, "web-1", "cleaned"); n != 1 {
			t.Errorf("%d cleanings after the last", n)
		}
		// The next ones have another generation; who comes late with an old lease is refused.
		next := r.shares(t, ctx, 1, compute.Request{})
		if next[0].Instance != "web-1" || next[0].Generation <= before {
			t.Errorf("%+v after generation %d", next[0], before)
		}
		_, err = r.Use(ctx, compute.Who{Owner: "ann", Lease: ls[1].ID}, "web-1")
		kind(t, err, compute.ErrStale)
	})
}

func (r *rig) events(t *testing.T, ctx context.Context, id compute.ID, kind string) (n int) {
	t.Helper()
	es, err := r.Events(ctx, inventory.EventQuery{Instance: id})
	must(t, err)
	for _, e := range es {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// TestSharesWhose: an instance's name stands for one's own lease on it; where one has several they
// are named.
func TestSharesWhose(t *testing.T) {
	inBubble(t, withFacts(four), sharing(func(s *pool.Source) { s.Reserve = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		bob := compute.Who{Owner: "bob"}
		a := r.shares(t, ctx, 1, compute.Request{Name: "build"})[0]
		b := r.shares(t, ctx, 1, compute.Request{Owner: "bob"})[0]
		for _, c := range []struct {
			who  compute.Who
			name compute.ID
			want string
		}{
			{ann, "web-1", a.ID}, {bob, "web-1", b.ID}, {ann, "build", a.ID}, {ann, compute.ID(a.ID), a.ID},
			{compute.Who{Lease: b.ID}, "web-1", b.ID},
		} {
			l, err := r.Use(ctx, c.who, c.name)
			if err != nil || l.ID != c.want {
				t.Errorf("c.who = %+v, %s: l.ID = %v err = %v; want no error and l.ID == c.want", c.who, c.name, l.ID, err)
			}
		}
		_, err := r.Use(ctx, compute.Who{Owner: "eve"}, "web-1")
		kind(t, err, compute.ErrDenied)
		_, err = r.Use(ctx, ann, compute.ID(b.ID))
		kind(t, err, compute.ErrDenied)
		c := r.shares(t, ctx, 1, compute.Request{})[0]
		for what, err := range map[string]error{
			"use": second(r.Use(ctx, ann, "web-1")), "release": r.Release(ctx, ann, compute.ReleaseOptions{}, "web-1"),
			"extend": second(r.Extend(ctx, ann, time.Hour, "web-1")), "connect": second(r.Connect(ctx, ann, "web-1")),
			"hold":                       r.Hold(ctx, ann, "", "web-1"),
			"an administrator's release": r.Release(ctx, compute.Who{Owner: "eve", Admin: true}, compute.ReleaseOptions{}, "web-1"),
		} {
			if !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), a.ID) || !strings.Contains(err.Error(), c.ID) {
				t.Errorf(
					"%s: err = %v"+
						"; want error compute.ErrConflict and err.Error() with a.ID and err.Error() with c.ID",
					what, err,
				)
			}
		}
		ls, err := r.Extend(ctx, ann, time.Hour, compute.ID(c.ID))
		if err != nil || ls[0].ID != c.ID || ls[0].TTL != time.Hour {
			t.Errorf("ls = %+v err = %v; want no error and ls[0].ID == c.ID and ls[0].TTL == time.Hour", ls, err)
		}
		conn, err := r.Connect(ctx, compute.Who{Owner: "ann", Lease: a.ID}, "web-1")
		must(t, err)
		must(t, conn.Close())
		// What would take it from the others is refused.
		kind(t, r.Hold(ctx, ann, "", "build"), compute.ErrConflict)
		kind(t, r.Release(ctx, bob, compute.ReleaseOptions{Force: true}, "web-1"), compute.ErrConflict)
		kind(
			t,
			r.Release(ctx, compute.Who{Owner: "eve", Admin: true}, compute.ReleaseOptions{Discard: true}, compute.ID(b.ID)),
			compute.ErrConflict,
		)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, "build", compute.ID(c.ID), compute.ID(c.ID)))
		kind(t, r.Release(ctx, compute.Who{Owner: "eve"}, compute.ReleaseOptions{}, "web-1"), compute.ErrDenied)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, "web-1")) // released already
		must(t, r.Release(ctx, bob, compute.ReleaseOptions{Force: true}, "web-1"))
		if s := r.state(t, ctx, "web-1"); s != "gone" {
			t.Errorf("it is %s", s)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestSharesWait: who waits for room gets it when a neighbour goes.
func TestSharesWait(t *testing.T) {
	inBubble(t, withFacts(four), sharing(func(s *pool.Source) { s.Maximum = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		ls := r.shares(t, ctx, 4, compute.Request{})
		got := make(chan error)
		go func() {
			_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "bob", Cores: 2, Wait: time.Hour})
			got <- err
		}()
		time.Sleep(time.Second)
		r.free(t, ctx, ls[0])
		time.Sleep(time.Second)
		select {
		case err := <-got:
			t.Fatalf("with room for half of it: %v", err)
		default:
		}
		r.free(t, ctx, ls[1])
		must(t, <-got)
	})
}

// TestSharesIdle: the countdown of an instance that is not wanted begins when its last share ends,
// and a new one stops it.
func TestSharesIdle(t *testing.T) {
	const idle = 2 * time.Second
	work := func(t *testing.T, ctx context.Context, r *rig, d time.Duration) {
		t.Helper()
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			_, err := r.RunDue(ctx)
			must(t, err)
		}
	}
	for _, c := range []struct {
		name string
		run  func(t *testing.T, ctx context.Context, r *rig)
		want compute.State
	}{
		{"taken again", func(t *testing.T, ctx context.Context, r *rig) {
			r.free(t, ctx, r.shares(t, ctx, 1, compute.Request{})...)
			work(t, ctx, r, time.Second)
			r.shares(t, ctx, 1, compute.Request{})
			work(t, ctx, r, time.Minute)
		}, compute.Leased},
		{"one is held", func(t *testing.T, ctx context.Context, r *rig) {
			ls := append(r.shares(t, ctx, 1, compute.Request{}), r.shares(t, ctx, 1, compute.Request{})...)
			r.free(t, ctx, ls[0])
			work(t, ctx, r, time.Minute)
		}, compute.Leased},
		{"the last goes", func(t *testing.T, ctx context.Context, r *rig) {
			ls := append(r.shares(t, ctx, 1, compute.Request{}), r.shares(t, ctx, 1, compute.Request{})...)
			r.free(t, ctx, ls[0])
			work(t, ctx, r, 10*time.Second)
			r.free(t, ctx, ls[1])
			work(t, ctx, r, time.Second)
			if s := r.state(t, ctx, "web-1"); s != compute.Ready {
				t.Errorf("after a second it is %s", s)
			}
			work(t, ctx, r, 2*time.Second)
		}, "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, withFacts(four), sharing(func(s *pool.Source) { s.Idle = idle }), func(t *testing.T, ctx context.Context, r *rig) {
				c.run(t, ctx, r)
				if s := r.state(t, ctx, "web-1"); s != c.want {
					t.Errorf("it is %s, want %s", s, c.want)
				}
			})
		})
	}
	// One that was made because it is wanted, and never used, stays.
	inBubble(t, withFacts(four), sharing(func(s *pool.Source) { s.Idle, s.Reserve = idle, 1 }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		must(t, second(r.Fill(ctx)))
		work(t, ctx, r, time.Minute)
		if s := r.state(t, ctx, "web-1"); s != compute.Ready {
			t.Errorf("never used: %s", s)
		}
	})
}

// TestSharesUnknown: where nobody tells the size nothing can be booked, and that is said.
func TestSharesUnknown(t *testing.T) {
	inBubble(t, withFacts(nil), sharing(func(s *pool.Source) {}), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
		kind(t, err, compute.ErrInvalid)
		if !strings.Contains(fmt.Sprint(err), "how many cores") || compute.Hint(err) == "" {
			t.Errorf("it says %v", err)
		}
	})
	inBubble(t, withFacts(map[string]string{"cores": "4"}), sharing(func(s *pool.Source) { s.Maximum = 1 }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		r.shares(t, ctx, 1, compute.Request{Cores: 1})
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Cores: 1, Memory: 1, Wait: time.Hour})
		kind(t, err, compute.ErrNoCapacity)
	})
}

// TestSharesOfPools: a pool that shares puts leases beside each other on what it drew; one that
// does not draws whole instances of a source that does.
func TestSharesOfPools(t *testing.T) {
	sources := append(
		web(func(s *pool.Source) { s.Reserve, s.Maximum = 2, 2 }),
		pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}, Share: true},
	)
	inBubble(t, withFacts(four), sources, func(t *testing.T, ctx context.Context, r *rig) {
		must(t, second(r.Fill(ctx)))
		a := r.shares(t, ctx, 3, compute.Request{Source: "front"})
		b := r.shares(t, ctx, 3, compute.Request{Source: "front", Owner: "bob"})
		if got := instancesOf(append(a, b...)); got != "front-web-1 front-web-1 front-web-1 front-web-1 front-web-2 front-web-2" {
			t.Errorf("they are %s", got)
		}
		_, err := r.Acquire(ctx, compute.Request{Source: "front", Count: 3, Owner: "ann"})
		kind(t, err, compute.ErrNoCapacity)
		r.free(t, ctx, a...)
		if s := r.state(t, ctx, "front-web-1"); s != compute.Leased {
			t.Errorf("it is %s", s)
		}
		r.free(t, ctx, b...)
		for _, id := range []compute.ID{"web-1", "web-2"} {
			if s := r.state(t, ctx, id); s != compute.Ready {
				t.Errorf("%s is %s", id, s)
			}
		}
	})
	sources = append(
		sharing(func(s *pool.Source) { s.Reserve, s.Maximum = 2, 2 }),
		pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}},
	)
	inBubble(t, withFacts(four), sources, func(t *testing.T, ctx context.Context, r *rig) {
		must(t, second(r.Fill(ctx)))
		r.shares(t, ctx, 1, compute.Request{})
		whole := r.shares(t, ctx, 1, compute.Request{Source: "front"})
		if whole[0].Instance != "front-web-2" || whole[0].Share != nil {
			t.Fatalf("it drew %+v", whole[0])
		}
		if got := instancesOf(r.shares(t, ctx, 3, compute.Request{})); got != "web-1 web-1 web-1" {
			t.Errorf("beside: %s", got)
		}
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
		kind(t, err, compute.ErrNoCapacity)
	})
}

// told is a provider that tells nothing of its computers' size: they tell it themselves.
type told struct {
	compute.Provider
	has  compute.Facts
	made *atomic.Int32 // instances of one request are made at once
}

func (p told) Unwrap() compute.Provider { return p.Provider }

func (p told) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	p.made.Add(1)
	i, err := p.Provider.Create(ctx, spec)
	i.Facts = nil
	return i, err
}

func (p told) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	c, err := p.Provider.Connect(ctx, id)
	return informed{c, p.has}, err
}

type informed struct {
	compute.Conn
	has compute.Facts
}

func (c informed) Unwrap() compute.Conn                             { return c.Conn }
func (c informed) Facts(context.Context) (compute.Facts, error)     { return c.has, nil }
func (informed) Usage(context.Context) (u compute.Usage, err error) { return u, nil }

// telling has computers tell their size.
func telling(has compute.Facts, made *atomic.Int32) func(*pool.Options) {
	return func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			return told{Provider: p, has: has, made: made}, err
		}
	}
}

// TestSharesMeasured: where the size of an instance is known only when it is there, the first part
// of it is booked only if it fits, however it came: made for it, or ready behind a pool that sets
// it up.
func TestSharesMeasured(t *testing.T) {
	small := compute.Facts{Cores: 2, Memory: 4000, Disk: 100}
	fronts := append(
		web(func(s *pool.Source) { s.Reserve = 1 }),
		pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}, Share: true, Hooks: []string{"provision"}},
	)
	for _, c := range []struct {
		name    string
		sources []pool.Source
		source  string
		fill    bool
		req     compute.Request
		fits    bool
	}{
		{"cores", sharing(func(*pool.Source) {}), "web", false, compute.Request{Count: 1, Cores: 3}, false},
		{"memory", sharing(func(*pool.Source) {}), "web", false, compute.Request{Count: 1, Cores: 1, Memory: 5000}, false},
		{"disk", sharing(func(*pool.Source) {}), "web", false, compute.Request{Count: 1, Cores: 1, Disk: 101}, false},
		{"gpus", sharing(func(*pool.Source) {}), "web", false, compute.Request{Count: 1, Cores: 1, GPUs: 1}, false},
		{"all of it", sharing(func(*pool.Source) {}), "web", false, compute.Request{Count: 1, Cores: 2, Memory: 4000, Disk: 100}, true},
		{"several at once on too few", sharing(func(s *pool.Source) { s.Maximum = 1 }), "web", false, compute.Request{Count: 3}, false},
		{"several at once", sharing(func(s *pool.Source) { s.Maximum = 2 }), "web", false, compute.Request{Count: 4}, true},
		{"a pool makes it", fronts, "front", false, compute.Request{Count: 1, Cores: 3}, false},
		{"a pool has it ready", fronts, "front", true, compute.Request{Count: 1, Cores: 3}, false},
		{"a pool has it ready, with too little memory", fronts, "front", true, compute.Request{Count: 1, Memory: 5000}, false},
		{"a pool makes one that does", fronts, "front", false, compute.Request{Count: 2}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var made atomic.Int32
			inBubble(t, telling(small, &made), c.sources, func(t *testing.T, ctx context.Context, r *rig) {
				if c.fill {
					must(t, second(r.Fill(ctx)))
				}
				c.req.Source, c.req.Owner = c.source, "ann"
				ls, err := r.Acquire(ctx, c.req)
				if c.fits {
					must(t, err)
				} else {
					if err == nil {
						t.Errorf("it got %v", instancesOf(ls))
					}
					if c.source == "web" {
						kind(t, err, compute.ErrNoCapacity)
					}
				}
				r.neverOver(t, ctx)
				if n := made.Load(); n > 2 {
					t.Errorf("%d were made for it", n)
				}
			})
		})
	}
}

// neverOver judges that no more is booked of any instance than it has.
func (r *rig) neverOver(t *testing.T, ctx context.Context) {
	t.Helper()
	must(t, r.store.View(ctx, func(tx store.Tx) error {
		ls, err := tx.Leases(inventory.LeaseQuery{})
		if err != nil {
			return err
		}
		booked := map[compute.ID][]compute.Resources{}
		for _, l := range ls {
			if l.Share != nil {
				booked[l.Instance] = append(booked[l.Instance], *l.Share)
			}
		}
		for id, parts := range booked {
			i, err := tx.Instance(id)
			for err == nil && i.Child != "" {
				i, err = tx.Instance(i.Child)
			}
			if err != nil {
				return err
			}
			has, known := share.SizeOf(i.Facts)
			if s := share.Of(has, parts...); !known || s.Over() {
				t.Errorf("of %s, which has %v, %v is booked", id, has, s.Booked())
			}
		}
		return nil
	}))
}

// TestSharesLearn: a request for more parts than fit is not made the same instances again and
// again.
func TestSharesLearn(t *testing.T) {
	var made atomic.Int32
	inBubble(t, telling(
		compute.Facts{Cores: 2, Memory: 4000, Disk: 100}, &made,
	), sharing(func(s *pool.Source) { s.Maximum = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 3, Owner: "ann", Wait: 10 * time.Minute})
		kind(t, err, compute.ErrTimeout)
		if n := made.Load(); n != 1 {
			t.Errorf("%d were made for it", n)
		}
	})
}
