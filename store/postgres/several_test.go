package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/postgres"
)

// leader is one that tries to have the lead.
type leader struct {
	st    *postgres.Store
	has   atomic.Bool
	stop  context.CancelFunc
	ended chan struct{}
}

func lead(t testing.TB, dsn string) *leader {
	t.Helper()
	l := &leader{st: mustOpen(t, dsn, postgres.Options{}), ended: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	go func() {
		defer close(l.ended)
		l.st.Lead(ctx, l.has.Store)
	}()
	t.Cleanup(func() { stop(); <-l.ended })
	return l
}

// TestLead: one of several has the lead; it is another's soon after that one gives it up, or its
// connection is cut.
func TestLead(t *testing.T) {
	dsn := place(t)
	all := []*leader{lead(t, dsn), lead(t, dsn), lead(t, dsn)}
	leading := func() (out []*leader) {
		for _, l := range all {
			if l.st.Leads() {
				out = append(out, l)
			}
		}
		return out
	}
	eventually(t, "one leads", func() bool { return len(leading()) == 1 })
	first := leading()[0]
	eventually(t, "it was told", first.has.Load)
	for range 50 {
		if n := len(leading()); n > 1 {
			t.Fatalf("%d lead", n)
		}
		time.Sleep(10 * time.Millisecond)
	}
	first.stop()
	<-first.ended
	if first.st.Leads() || first.has.Load() {
		t.Error("it leads on")
	}
	eventually(t, "another leads", func() bool { return len(leading()) == 1 })
	if err := server.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one of two leads after all were cut", func() bool { l := leading(); return len(l) == 1 && l[0].has.Load() })
}

// TestListen: what one writes another hears; at once where a request of that one waits, and without
// asking.
func TestListen(t *testing.T) {
	dsn := place(t)
	a, b := mustOpen(t, dsn, postgres.Options{}), mustOpen(t, dsn, postgres.Options{})
	heard := map[*postgres.Store]*atomic.Int64{a: {}, b: {}}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for st, n := range heard {
		all.Go(func() { st.Listen(ctx, func() { n.Add(1) }) })
	}
	defer func() { stop(); all.Wait() }()
	eventually(t, "both listen", func() bool { return heard[a].Load() > 0 && heard[b].Load() > 0 })
	version := func(st *postgres.Store) int64 {
		v, err := st.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []string{"nobody waits", "one waits"} {
		before, was, own := heard[b].Load(), version(b), heard[a].Load()
		mustWrite(t, a, c)
		eventually(t, c, func() bool { return heard[b].Load() > before && version(b) != was })
		if c == "nobody waits" && heard[a].Load() != own {
			t.Error("it hears itself")
		}
		err := b.Update(t.Context(), func(tx store.Tx) error {
			return tx.Join(&inventory.Waiter{Source: "web", Count: 1, Worker: b.Worker(), Since: time.Now()})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	before := heard[b].Load()
	if err := server.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it listens again", func() bool { return heard[b].Load() > before })
	before = heard[b].Load()
	mustWrite(t, a, "after")
	eventually(t, "after a cut", func() bool { return heard[b].Load() > before })
}

// TestGiven: what was given to a request is not given to it again by another handle, and that takes
// nothing of what others do in the same transaction.
func TestGiven(t *testing.T) {
	dsn := place(t)
	a, b := mustOpen(t, dsn, postgres.Options{}), mustOpen(t, dsn, postgres.Options{})
	warm(t, a, 10)
	give := func(st *postgres.Store, n int, key string) error {
		return st.Update(context.Background(), func(tx store.Tx) error {
			id := compute.ID(fmt.Sprint("web-", n))
			return tx.InsertLease(&compute.Lease{
				ID: uuid.NewString(), Instance: id, Source: "web", Owner: "ann",
				Labels: map[string]string{inventory.RequestLabel: key + " digest"},
			})
		})
	}
	if err := give(a, 0, "k"); err != nil {
		t.Fatal(err)
	}
	if err := give(b, 1, "k"); !errors.Is(err, store.ErrGiven) || !errors.Is(err, compute.ErrConflict) {
		t.Errorf("alone: %v", err)
	}
	for round := range 3 {
		begun, goOn := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			err := b.Update(context.Background(), func(store.Tx) error {
				select {
				case <-begun:
				default:
					close(begun)
				}
				<-goOn
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-begun
		errs := make([]error, 3)
		for n, key := range []string{"k", fmt.Sprint("other", round), "k"} {
			all.Go(func() { errs[n] = give(b, 1+round*3+n%3, key) })
		}
		time.Sleep(20 * time.Millisecond) // so that they meet
		close(goOn)
		all.Wait()
		if !errors.Is(errs[0], store.ErrGiven) || errs[1] != nil || !errors.Is(errs[2], store.ErrGiven) {
			t.Fatalf("together: %v", errs)
		}
	}
	ls, giver, err := b.Given(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if len(ls) != 1 || ls[0].Instance != "web-0" || giver != a.Worker() {
		t.Errorf("got %v by %d, want web-0 by %d", ls, giver, a.Worker())
	}
}

// TestFreeFor: a lock that was seen free a long time ago, and not looked at since, has not been
// free all the while: two restarts of the server are two.
func TestFreeFor(t *testing.T) {
	got := postgres.FreeFor(
		0, time.Second, 4*time.Second, 10*time.Minute, 3*time.Hour, 3*time.Hour+time.Second, -1, 4*time.Hour,
		4*time.Hour+5*time.Minute,
	)
	want := []time.Duration{0, time.Second, 4 * time.Second, 10 * time.Minute, 0, time.Second, 0, 5 * time.Minute}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
