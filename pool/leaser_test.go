package pool_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store/sqlite"
)

// big is a source whose instances are shared.
var big = pool.Source{Name: "big", Type: "fake", Digest: "d", Share: true, Maximum: 2, Reserve: 2, Idle: time.Hour}

// bigFacts are what the suite says of them.
func bigFacts(o *pool.Options) { withFacts(map[string]string{"cores": "4", "memory": "1048576"})(o) }

// TestLeaser: the engine passes the suite that a controller's client passes too.
func TestLeaser(t *testing.T) {
	const maximum = 4
	computetest.Leaser(t, computetest.LeaserOptions{
		Source: "web", Maximum: maximum, Shared: "big",
		New: func(t *testing.T) compute.Leaser {
			st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
			must(t, err)
			t.Cleanup(func() { st.Close() })
			return newRigOn(t, st, nil, append(web(func(s *pool.Source) { s.Maximum = maximum }), big), bigFacts)
		},
	})
}
