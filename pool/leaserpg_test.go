package pool_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
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
			p, err := pool.New(pool.Options{Store: st, Sources: append(web(func(s *pool.Source) { s.Maximum = maximum }), big), NewID: uuid.NewString,
				Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
					return fake.Open(ctx, slog.New(slog.DiscardHandler), fake.Options{Source: name, Installation: st.Installation(), Cores: 4, Memory: 1 << 20})
				}})
			must(t, err)
			return p
		},
	})
}
