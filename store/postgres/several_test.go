package postgres_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
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

// TestLead: one of several has the lead; it is another's soon after that one gives it up, or its connection is cut.
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

// TestListen: what one writes another hears; at once where a request of that one waits, and without asking.
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
		err := b.Update(t.Context(), func(tx compute.Tx) error {
			return tx.Join(&compute.Waiter{Source: "web", Count: 1, Worker: b.Worker(), Since: time.Now()})
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
