package pool_test

import (
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestLeaser: the engine passes the suite that a controller's client passes too.
func TestLeaser(t *testing.T) {
	const maximum = 4
	computetest.Leaser(t, computetest.LeaserOptions{
		Source: "web", Maximum: maximum,
		New: func(t *testing.T) compute.Leaser {
			st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
			must(t, err)
			t.Cleanup(func() { st.Close() })
			return newRigOn(t, st, nil, web(func(s *pool.Source) { s.Maximum = maximum }), nil)
		},
	})
}
