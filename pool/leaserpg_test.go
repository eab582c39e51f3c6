package pool_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

// TestLeaserPostgres: the engine passes the suite on PostgreSQL too.
func TestLeaserPostgres(t *testing.T) {
	server := pgtest.Start(t)
	const maximum = 4
	computetest.Leaser(t, computetest.LeaserOptions{
		Source: "web", Maximum: maximum, Shared: "big",
		New: func(t *testing.T) compute.Leaser {
			st, err := postgres.Open(t.Context(), server.Database(t), postgres.Options{})
			must(t, err)
			t.Cleanup(func() { st.Close() })
			p, err := pool.New(pool.Options{Store: st,
				Sources: append(web(func(s *pool.Source) { s.Maximum = maximum }), big), NewID: uuid.NewString,
				Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
					return fake.Open(
						ctx, slog.New(slog.DiscardHandler),
						fake.Options{Source: name, Installation: st.Installation(), Cores: 4, Memory: 1 << 20},
					)
				}})
			must(t, err)
			return p
		},
	})
}

// TestKeyedPostgres: a request with a key gets all that it asks for, part of it ready and part of
// it made, and another controller gives nothing to it.
func TestKeyedPostgres(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	engine := func() *pool.Pool {
		st, err := postgres.Open(t.Context(), dsn, postgres.Options{})
		must(t, err)
		t.Cleanup(func() { st.Close() })
		p, err := pool.New(pool.Options{Store: st, Sources: web(func(s *pool.Source) { s.Reserve = 4 }), NewID: uuid.NewString,
			Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
				return fake.Open(ctx, slog.New(slog.DiscardHandler), fake.Options{Source: name, Installation: st.Installation()})
			}})
		must(t, err)
		return p
	}
	p := engine()
	ls, err := p.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann"})
	must(t, err)
	must(t, p.Release(t.Context(), ann, compute.ReleaseOptions{}, ls[0].Instance))
	keyed := compute.Request{Source: "web", Count: 3, Owner: "ann", Labels: map[string]string{inventory.RequestLabel: "mark digest"}}
	if ls, err = p.Acquire(t.Context(), keyed); err != nil || len(ls) != 3 {
		t.Fatalf("ls = %v, err = %v; want no error and len(ls) == 3", ls, err)
	}
	_, err = engine().Acquire(t.Context(), keyed)
	kind(t, err, store.ErrGiven)
}
