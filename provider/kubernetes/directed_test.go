package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestDirected has the director size a source's own warm pool by what was asked for, an acquisition
// be served from it, and the pool go with the source.
func TestDirected(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Kind = "claim"
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	o.Installation = st.Installation()
	engine := func(sources ...pool.Source) *pool.Pool {
		p, err := pool.New(pool.Options{Store: st, Sources: sources, NewID: uuid.NewString, Inventory: true,
			Open: func(ctx context.Context, _, _ string, _ []byte) (compute.Provider, error) {
				p, err := kubernetes.Open(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)), o)
				if err == nil {
					t.Cleanup(func() { _ = p.Close() })
				}
				return p, err
			}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	direct := func(p *pool.Pool) (stop func()) {
		d, err := director.New(director.Options{Pool: p, Tick: 100 * time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		return func() {
			cancel()
			<-ended
		}
	}
	p := engine(pool.Source{Name: "suite", Type: "kubernetes", Digest: "d", Maximum: 10})
	use := func() string {
		t.Helper()
		leases, err := p.Acquire(t.Context(), compute.Request{Source: "suite", Count: 1, Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		from := lab.Ctl(
			t, "", "get", "sandboxclaims", "-n", o.Namespace, "-o",
			`jsonpath={range .items[*]}{.metadata.annotations.hostler-project\.github\.io/instance} {.status.sandbox.name}{"\n"}{end}`,
		)
		if err := p.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, leases[0].Instance); err != nil {
			t.Fatal(err)
		}
		_, from, _ = strings.Cut(from, string(leases[0].Instance)+" ")
		from, _, _ = strings.Cut(from, "\n")
		return from
	}
	use()
	is := pools(t, o.Namespace)
	if len(is) != 3 || is[1] != "0" {
		t.Fatalf("with nobody who directs the pools are %v", is)
	}
	name := is[0]
	stop := direct(p)
	computetest.Eventually(t, "some stand there", func() error {
		if got := lab.Ctl(
			t, "", "get", "sandboxwarmpool", name, "-n", o.Namespace, "-o", "jsonpath={.status.readyReplicas}",
		); got == "" || got == "0" {
			return fmt.Errorf("%q are ready", got)
		}
		return nil
	})
	if from := use(); !strings.HasPrefix(from, name+"-") {
		t.Errorf("with some that stand there it has the sandbox %s", from)
	}
	stop()
	// The size was written once for all of these, or twice where a lease came between two looks:
	// the rest are the claims' own two writes each.
	if is := pools(t, o.Namespace); is[2] > "3" {
		t.Errorf("the pools are %v", is)
	}
	stop = direct(engine())
	defer stop()
	none(t, o.Namespace)
	err = st.View(t.Context(), func(tx store.Tx) error {
		if text, err := tx.Note("ahead"); !errors.Is(err, compute.ErrNotFound) {
			return fmt.Errorf("the note says %s: %w", text, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
