package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/provider/local"
	"github.com/hostler-project/hostler/store/sqlite"
)

// inBubble runs a test with a clock of its own, on an engine over one source or more.
func inBubble(t *testing.T, change func(*pool.Options), sources []pool.Source, f func(t *testing.T, ctx context.Context, r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		st, err := sqlite.Open(ctx, filepath.Join(dir, "state.db"), sqlite.Options{Unsafe: true})
		must(t, err)
		defer st.Close()
		f(t, ctx, newRigOn(t, st, map[string]*fake.Cloud{}, sources, change))
	})
}

func web(change func(*pool.Source)) []pool.Source {
	s := pool.Source{Name: "web", Type: "fake", Digest: "d"}
	change(&s)
	return []pool.Source{s}
}

var ann = compute.Who{Owner: "ann"}

func (r *rig) take(t *testing.T, ctx context.Context, req compute.Request) compute.Lease {
	t.Helper()
	if req.Source == "" {
		req.Source = "web"
	}
	req.Count, req.Owner, req.Own = 1, "ann", true
	ls, err := r.Acquire(ctx, req)
	must(t, err)
	return ls[0]
}

func (r *rig) state(t *testing.T, ctx context.Context, id compute.ID) compute.State {
	t.Helper()
	i, _, err := r.Resolve(ctx, string(id))
	if errors.Is(err, compute.ErrNotFound) {
		return "gone"
	}
	must(t, err)
	return i.State
}

func kind(t *testing.T, err error, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want one that is %v", err, want)
	}
}

func TestLeaseEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		req  compute.Request
		used time.Duration // it is used that often
		ends time.Duration // 0: not within a week
	}{
		{"ttl", compute.Request{TTL: time.Hour}, 0, time.Hour},
		{"ttl in spite of use", compute.Request{TTL: time.Hour}, 10 * time.Minute, time.Hour},
		{"idle", compute.Request{Idle: time.Hour}, 0, time.Hour},
		{"used", compute.Request{Idle: time.Hour}, 50 * time.Minute, 0},
		{"neither", compute.Request{}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
				l := r.take(t, ctx, c.req)
				start := time.Now()
				var ended time.Duration
				for ended == 0 && time.Since(start) < 7*24*time.Hour {
					pause := 5 * time.Minute
					if c.used > 0 {
						pause = c.used
					}
					time.Sleep(pause)
					var err error
					if c.used > 0 {
						_, err = r.Use(ctx, ann, l.Instance)
					} else {
						_, err = r.Authorize(ctx, ann, l.Instance)
					}
					if err != nil {
						kind(t, err, compute.ErrNotLeased)
						ended = time.Since(start)
					}
				}
				if ended != c.ends {
					t.Errorf("refused after %v, want %v", ended, c.ends)
				}
				if c.ends == 0 {
					return
				}
				// It was refused though nobody has taken it back yet; now somebody does, and
				// releasing it is no error.
				if s := r.state(t, ctx, l.Instance); s != compute.Leased {
					t.Errorf("it is %s", s)
				}
				_, err := r.RunDue(ctx)
				must(t, err)
				if s := r.state(t, ctx, l.Instance); s != compute.Ready {
					t.Errorf("then it is %s", s)
				}
				must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
			})
		})
	}
}

func TestExtend(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.MaxTTL = 3 * time.Hour }), func(t *testing.T, ctx context.Context, r *rig) {
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", TTL: 4 * time.Hour})
		kind(t, err, compute.ErrInvalid)
		l := r.take(t, ctx, compute.Request{TTL: time.Hour})
		time.Sleep(50 * time.Minute)
		ls, err := r.Extend(ctx, ann, 0, l.Instance)
		must(t, err)
		if got := time.Until(ls[0].Expires); got != time.Hour {
			t.Errorf("it has %v more, want an hour", got)
		}
		_, err = r.Extend(ctx, ann, 3*time.Hour, l.Instance)
		kind(t, err, compute.ErrInvalid)
		time.Sleep(50 * time.Minute)
		for range 3 { // a renewal stops at max-ttl without an error
			_, err = r.Extend(ctx, ann, 0, l.Instance)
			must(t, err)
			time.Sleep(27 * time.Minute)
		}
		_, err = r.Extend(ctx, ann, 0, l.Instance)
		kind(t, err, compute.ErrNotLeased)
		_, err = r.Extend(ctx, ann, 0, "web-77")
		kind(t, err, compute.ErrNotFound)
	})
}

func TestOwners(t *testing.T) {
	inBubble(t, nil, []pool.Source{
		{Name: "web", Type: "fake", Digest: "d", Reserve: 2},
		{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}},
	}, func(t *testing.T, ctx context.Context, r *rig) {
		l := r.take(t, ctx, compute.Request{Name: "mine"})
		bob := compute.Who{Owner: "bob"}
		kind(t, r.Release(ctx, bob, compute.ReleaseOptions{}, l.Instance), compute.ErrDenied)
		_, err := r.Use(ctx, bob, l.Instance)
		kind(t, err, compute.ErrDenied)
		kind(t, r.Hold(ctx, bob, "", l.Instance), compute.ErrDenied)
		kind(t, r.Release(ctx, bob, compute.ReleaseOptions{Discard: true}, l.Instance), compute.ErrDenied)
		_, err = r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "bob", Name: "mine"})
		kind(t, err, compute.ErrConflict)

		// An empty name is nobody's, though most leases have none of their own.
		other := r.take(t, ctx, compute.Request{})
		kind(t, r.Release(ctx, ann, compute.ReleaseOptions{}, ""), compute.ErrInvalid)
		kind(t, r.Hold(ctx, ann, "", ""), compute.ErrInvalid)
		_, err = r.Extend(ctx, ann, 0, "")
		kind(t, err, compute.ErrInvalid)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, other.Instance))

		// All names are good, or nothing changes.
		kind(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance, "web-77"), compute.ErrNotFound)
		if _, err := r.Use(ctx, ann, "mine"); err != nil {
			t.Errorf("by the lease's name: %v", err)
		}

		// A pool's computer is the pool's, under its own name; nobody's user's.
		p := r.take(t, ctx, compute.Request{Source: "front"})
		leaf, err := r.Leaf(ctx, p.Instance)
		must(t, err)
		err = r.Release(ctx, ann, compute.ReleaseOptions{}, leaf.ID)
		kind(t, err, compute.ErrDenied)
		if !strings.Contains(err.Error(), string(p.Instance)) {
			t.Errorf("%v does not name %s", err, p.Instance)
		}

		// Released twice, at once: both succeed, and one does it.
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance)) })
		}
		wg.Wait()
		kind(t, r.Release(ctx, bob, compute.ReleaseOptions{}, l.Instance), compute.ErrNotLeased)

		// Who presents the old lease is refused under the next one, though it is the same user's.
		again := r.take(t, ctx, compute.Request{})
		if again.Instance != l.Instance || again.Generation <= l.Generation {
			t.Fatalf("got %v after %v", again, l)
		}
		_, err = r.Use(ctx, compute.Who{Owner: "ann", Lease: l.ID}, again.Instance)
		kind(t, err, compute.ErrStale)
		kind(t, r.Release(ctx, compute.Who{Owner: "ann", Lease: l.ID}, compute.ReleaseOptions{}, again.Instance), compute.ErrStale)
	})
}

// TestGenerationGrows also where a machine that stays is recorded anew under its name.
func TestGenerationGrows(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	must(t, err)
	defer st.Close()
	r := newRigOn(t, st, nil, []pool.Source{
		{Name: "this", Type: "local", Digest: "d"}, {Name: "front", Type: "pool", Digest: "d", Children: []string{"this"}},
	}, func(o *pool.Options) {
		o.Open = func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			return local.Open(ctx, slog.New(slog.DiscardHandler), local.Options{Source: name})
		}
	})
	last := int64(0)
	for range 3 {
		l := r.take(t, t.Context(), compute.Request{Source: "front"})
		if l.Instance != "front-this-local" || l.Generation <= last {
			t.Errorf("generation %d of %s after %d", l.Generation, l.Instance, last)
		}
		last = l.Generation
		must(t, r.Release(t.Context(), ann, compute.ReleaseOptions{}, l.Instance))
		if s := r.state(t, t.Context(), "this-local"); s != "gone" {
			t.Errorf("it is %s", s)
		}
	}
}

func TestBoundToProcess(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir, map[string]*fake.Cloud{}, web(func(s *pool.Source) { s.Reserve = 1; s.Maximum = 1 }), nil)
	ctx := t.Context()
	cmd := exec.Command("sleep", "100")
	must(t, cmd.Start())
	pr, err := proc.Live(cmd.Process.Pid)
	must(t, err)
	l := r.take(t, ctx, compute.Request{For: pr})
	_, err = r.Use(ctx, ann, l.Instance)
	must(t, err)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	_, err = r.Use(ctx, ann, l.Instance)
	kind(t, err, compute.ErrNotLeased)
	// The next one has it, without anybody's release.
	other := newRig(t, dir, r.clouds, web(func(s *pool.Source) { s.Reserve = 1; s.Maximum = 1 }), nil)
	if again := other.take(t, ctx, compute.Request{}); again.Instance != l.Instance {
		t.Errorf("got %s", again.Instance)
	}
	if _, err := proc.Live(cmd.Process.Pid); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("a dead process: %v", err)
	}
	if _, err := proc.Live(os.Getpid()); err != nil {
		t.Errorf("this process: %v", err)
	}
}

func TestBreaker(t *testing.T) {
	broken := true
	inBubble(t, nil, web(func(s *pool.Source) { s.Maximum = 5 }), func(t *testing.T, ctx context.Context, r *rig) {
		tries := 0
		r.fail = func(_ string, op string, _ compute.ID) error {
			if op == "create" {
				tries++
				if broken {
					return errors.New("the cloud is on fire")
				}
			}
			return nil
		}
		start := time.Now()
		var last error
		for time.Since(start) < time.Hour {
			_, last = r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
			if last == nil {
				t.Fatal("it was given")
			}
			time.Sleep(5 * time.Second)
		}
		// Pauses of 10, 20, 40 ... 600 s: 3 tries, then one after each.
		if tries < 8 || tries > 16 {
			t.Errorf("%d tries within an hour", tries)
		}
		kind(t, last, compute.ErrUnavailable)
		if !strings.Contains(last.Error(), "on fire") {
			t.Errorf("the reason is not told: %v", last)
		}
		sts, err := r.Status(ctx)
		must(t, err)
		if sts[0].Failures != tries || !strings.Contains(sts[0].LastError, "on fire") || sts[0].Counts.Present() != 0 {
			t.Errorf("status says %+v", sts[0])
		}
		broken = false
		time.Sleep(11 * time.Minute)
		r.take(t, ctx, compute.Request{})
		sts, err = r.Status(ctx)
		must(t, err)
		if sts[0].Failures != 0 || !sts[0].Paused.IsZero() {
			t.Errorf("after a success status says %+v", sts[0])
		}
	})
}

func TestWornAndIdle(t *testing.T) {
	t.Run("max-uses", func(t *testing.T) {
		inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 1; s.MaxUses = 2 }), func(t *testing.T, ctx context.Context, r *rig) {
			var got []compute.ID
			for range 5 {
				l := r.take(t, ctx, compute.Request{})
				got = append(got, l.Instance)
				must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
			}
			if want := []compute.ID{"web-1", "web-1", "web-2", "web-2", "web-3"}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	})
	t.Run("max-age", func(t *testing.T) {
		inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 1; s.MaxAge = time.Hour }), func(
			t *testing.T, ctx context.Context, r *rig,
		) {
			_, err := r.Fill(ctx, "web")
			must(t, err)
			time.Sleep(time.Hour)
			if l := r.take(t, ctx, compute.Request{}); l.Instance != "web-2" {
				t.Errorf("got %s", l.Instance)
			}
			if s := r.state(t, ctx, "web-1"); s != "gone" {
				t.Errorf("the old one is %s", s)
			}
		})
	})
	t.Run("idle", func(t *testing.T) {
		inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 1; s.Idle = time.Hour }), func(t *testing.T, ctx context.Context, r *rig) {
			a, b := r.take(t, ctx, compute.Request{}), r.take(t, ctx, compute.Request{})
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, a.Instance, b.Instance))
			next, err := r.RunDue(ctx)
			must(t, err)
			if d := time.Until(next); d != time.Hour {
				t.Errorf("the next look is in %v", d)
			}
			time.Sleep(time.Hour)
			_, err = r.RunDue(ctx)
			must(t, err)
			if got := []compute.State{
				r.state(t, ctx, a.Instance), r.state(t, ctx, b.Instance),
			}; !slices.Equal(got, []compute.State{"ready", "gone"}) {
				t.Errorf("they are %v", got)
			}
		})
	})
	t.Run("spare", func(t *testing.T) {
		inBubble(t, nil, web(func(s *pool.Source) { s.Spare = 2; s.Maximum = 4 }), func(t *testing.T, ctx context.Context, r *rig) {
			for used, want := range []int{2, 2, 2, 1, 0} {
				if used > 0 {
					r.take(t, ctx, compute.Request{})
				}
				_, err := r.Fill(ctx, "web")
				must(t, err)
				sts, err := r.Status(ctx)
				must(t, err)
				if got := sts[0].Counts.Ready; got != want {
					t.Errorf("with %d in use %d stand ready, want %d", used, got, want)
				}
			}
		})
	})
}

func TestHoldAndDiscard(t *testing.T) {
	inBubble(t, nil, web(func(s *pool.Source) { s.Reserve = 1; s.Maximum = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		l := r.take(t, ctx, compute.Request{})
		must(t, r.Hold(ctx, ann, "look at the disk", l.Instance))
		if s := r.state(t, ctx, l.Instance); s != compute.Held {
			t.Fatalf("it is %s", s)
		}
		_, err := r.Use(ctx, ann, l.Instance)
		kind(t, err, compute.ErrNotLeased)
		other := r.take(t, ctx, compute.Request{}) // a held one counts nowhere
		if other.Instance == l.Instance {
			t.Fatal("the held one was handed out")
		}
		kind(t, r.Release(ctx, ann, compute.ReleaseOptions{}, "web-9"), compute.ErrNotFound)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{Discard: true}, l.Instance))
		if s := r.state(t, ctx, l.Instance); s != "gone" {
			t.Errorf("it is %s", s)
		}
		// in spite of the reserve
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{Force: true}, other.Instance))
		if s := r.state(t, ctx, other.Instance); s != "gone" {
			t.Errorf("it is %s", s)
		}
	})
}

// TestOrphans: a source is deleted from the configuration; what it made can still be given back and
// discarded, by the definition kept with it.
func TestOrphans(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	old := newRig(
		t, dir, map[string]*fake.Cloud{},
		[]pool.Source{{Name: "old", Type: "fake", Digest: "1", Reserve: 2, Definition: []byte(`{"x":1}`)}}, nil,
	)
	l := old.take(t, ctx, compute.Request{Source: "old"})
	_, err := old.Fill(ctx, "old")
	must(t, err)
	var opened []string
	later := newRig(t, dir, old.clouds, web(func(*pool.Source) {}), func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			if name == "old" {
				opened = append(opened, fmt.Sprint(typ, " ", string(def)))
			}
			return inner(ctx, name, typ, def)
		}
	})
	sts, err := later.Status(ctx)
	must(t, err)
	if len(sts) != 2 || !sts[0].Orphaned || sts[0].Name != "old" || sts[0].Counts.Leased != 1 {
		t.Fatalf("status says %+v", sts)
	}
	_, err = later.Acquire(ctx, compute.Request{Source: "old", Count: 1, Owner: "ann"})
	kind(t, err, compute.ErrNotFound)
	must(t, later.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
	// in spite of the reserve: nobody can want it
	if s := later.state(t, ctx, l.Instance); s != "gone" {
		t.Errorf("it is %s", s)
	}
	must(t, later.Release(ctx, ann, compute.ReleaseOptions{Discard: true}, "old-2"))
	if want := []string{`fake {"x":1}`}; !slices.Equal(opened, want) {
		t.Errorf("opened %v, want %v", opened, want)
	}
	if n := old.fakes["old"].Made() - later.fakes["old"].Destroyed(); n != 0 {
		t.Errorf("%d computers leaked", n)
	}
}

// TestConfirmDead: what failed is kept aside for a person for so long and then discarded, unless he
// holds it; without a time it stays.
func TestConfirmDead(t *testing.T) {
	for _, c := range []struct {
		name    string
		confirm time.Duration
		held    bool // by a person
		want    compute.State
	}{
		{"in time", 30 * time.Minute, false, "gone"}, {"never", 0, false, compute.Held},
		{"a person's", 30 * time.Minute, true, compute.Held},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, web(func(s *pool.Source) { s.Reserve, s.Maximum, s.OnFailure, s.ConfirmDead = 1, 1, "hold", c.confirm }), func(
				t *testing.T, ctx context.Context, r *rig,
			) {
				r.fail = func(_ string, op string, _ compute.ID) error {
					if op == "clean" {
						return errors.New("the disk is gone")
					}
					return nil
				}
				l := r.take(t, ctx, compute.Request{})
				// whose cleaning fails
				_ = r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance)
				if s := r.state(t, ctx, l.Instance); s != compute.Held {
					t.Fatalf("it failed, and is %s", s)
				}
				if c.held {
					must(t, r.Hold(ctx, compute.Who{Owner: "bob"}, "I look at it", l.Instance))
				}
				time.Sleep(30*time.Minute - time.Second)
				next, err := r.RunDue(ctx)
				must(t, err)
				if s := r.state(t, ctx, l.Instance); s != compute.Held || c.want == "gone" && time.Until(next) != time.Second {
					t.Fatalf("a second before its time it is %s, and the next look is in %v", s, time.Until(next))
				}
				time.Sleep(time.Second)
				_, err = r.RunDue(ctx)
				must(t, err)
				if s := r.state(t, ctx, l.Instance); s != c.want {
					t.Errorf("it is %s, want %s", s, c.want)
				}
				if there := r.clouds["web"].IDs(); (len(there) == 0) != (c.want == "gone") {
					t.Errorf("there are %v", there)
				}
			})
		})
	}
}
