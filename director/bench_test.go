package director_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// BenchmarkRound is a director's look and decision over 100,000 instances, 10,000 of them leased,
// and 1,000 requests that wait, in a store on disk; 50 ms is promised. floor is what reading the
// records of the sources alone takes.
func BenchmarkRound(b *testing.B) {
	for _, c := range []struct {
		name    string
		sources int
		spare   int // of each that there are, so many are wanted; more are surplus
		demand  bool
		waiting int
	}{
		{"rest", 100, 900, false, 0},
		{"queue", 100, 900, false, 1000},
		{"demand", 100, 900, true, 1000},
		{"surplus", 100, 899, false, 0},
		{"one source", 1, 90000, false, 0},
		{"one source in surplus", 1, 80000, false, 0},
		{"1000 sources", 1000, 90, false, 1000},
	} {
		b.Run(c.name, func(b *testing.B) {
			ctx := context.Background()
			st, err := sqlite.Open(ctx, filepath.Join(b.TempDir(), "state.db"), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			var sources []pool.Source
			policies := map[string]director.Policy{}
			for n := range c.sources {
				s := pool.Source{Name: fmt.Sprintf("s%d", n), Type: "fake", Digest: "d", Spare: c.spare, Idle: time.Minute}
				if c.demand {
					s.Window = time.Hour
					policies[s.Name] = director.Policy{Strategy: director.Demand{}}
				}
				sources = append(sources, s)
			}
			stock(b, st, c.sources, c.waiting)
			p, err := pool.New(pool.Options{Store: st, Sources: sources, NewID: uuid.NewString,
				Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
					return fake.Open(ctx, slog.New(slog.DiscardHandler), fake.Options{Source: name, Installation: st.Installation()})
				}})
			if err != nil {
				b.Fatal(err)
			}
			d, err := director.New(director.Options{Pool: p, Policies: policies})
			if err != nil {
				b.Fatal(err)
			}
			plans, err := d.Plan(ctx) // providers are opened, and the journal is read
			if err != nil || len(plans) != c.sources {
				b.Fatalf("%d plans: %v", len(plans), err)
			}
			directives := 0
			start := time.Now()
			for b.Loop() {
				plans, err := d.Plan(ctx)
				if err != nil {
					b.Fatal(err)
				}
				directives = 0
				for _, p := range plans {
					directives += len(p.Directives)
				}
			}
			round := time.Since(start).Seconds() / float64(b.N)
			b.StopTimer()
			start = time.Now()
			for range 10 {
				err := st.View(ctx, func(tx store.Tx) error { _, err := tx.Sources(""); return err })
				if err != nil {
					b.Fatal(err)
				}
			}
			floor := time.Since(start).Seconds() / 10
			b.ReportMetric(1000*round, "ms/round")
			b.ReportMetric(round/0.05, "of-promise")
			b.ReportMetric(round/floor, "x-floor")
			b.ReportMetric(float64(directives), "directives")
		})
	}
}

// stock puts 100,000 instances into a store, a tenth of them leased, and requests that wait.
func stock(b *testing.B, st *sqlite.Store, sources, waiting int) {
	b.Helper()
	const all = 100000
	now := time.Now()
	for n := range sources {
		err := st.Update(context.Background(), func(tx store.Tx) error {
			rec := &store.SourceRecord{Name: fmt.Sprintf("s%d", n), Digest: "d", Type: "fake"}
			if err := tx.SaveSource(rec); err != nil {
				return err
			}
			for k := range all / sources {
				i := compute.Instance{ID: compute.ID(fmt.Sprintf("%s-%d", rec.Name, k)), Source: rec.Name,
					SourceKey: rec.Key, State: compute.Ready, Created: now,
					Since: now.Add(-time.Duration(k+60) * time.Second)}
				if k%10 == 0 {
					i.State = compute.Leased
				}
				if err := tx.SaveInstance(&i); err != nil {
					return err
				}
				if k%10 == 0 {
					l := &compute.Lease{ID: uuid.NewString(), Instance: i.ID, Source: rec.Name, Owner: "ann", Given: now, Used: now}
					if err := tx.InsertLease(l); err != nil {
						return err
					}
					if _, err := tx.Append(&compute.Event{
						Time: now, Kind: "leased", Source: rec.Name, Instance: i.ID, Lease: l.ID,
					}); err != nil {
						return err
					}
				}
			}
			for range waiting / sources {
				if err := tx.Join(&inventory.Waiter{
					Source: rec.Name, Wants: []int64{rec.Key}, Count: 1, Owner: "bob", Worker: st.Worker(), Since: now,
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
