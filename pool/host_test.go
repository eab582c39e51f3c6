package pool_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestOtherHosts: a lease that ends with a process is ended by an engine that can see that process,
// and by no other.
func TestOtherHosts(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	must(t, err)
	defer st.Close()
	cloud := fake.NewCloud()
	on := func(host string) *pool.Pool {
		p, err := pool.New(pool.Options{
			Store: st, NewID: uuid.NewString, Host: host, Sources: []pool.Source{{Name: "web", Type: "fake", Digest: "d"}},
			Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
				return fake.Open(
					ctx, slog.New(slog.DiscardHandler),
					fake.Options{Source: name, Installation: st.Installation(), Cloud: cloud},
				)
			},
		})
		must(t, err)
		return p
	}
	here, there := on("here"), on("there")
	ended := compute.Process{PID: 1<<22 + 1, Start: 1} // above every pid_max
	_, err = here.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann", For: ended})
	must(t, err)
	for _, c := range []struct {
		p    *pool.Pool
		left int
	}{{there, 1}, {here, 0}} {
		_, err := c.p.RunDue(t.Context())
		must(t, err)
		ls, err := c.p.Leases(t.Context(), inventory.LeaseQuery{})
		must(t, err)
		if len(ls) != c.left {
			t.Errorf("%d leases", len(ls))
		}
	}
}
