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
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestWants has requests that no node can have wait beside others: these have theirs, small ready
// pods make room for larger ones, no plain ones are made for who has no use for them, and who waits
// for no longer than some seconds is told the scheduler's words when they are over, however long a
// pod may wait for a node.
func TestWants(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Cores, o.Memory, o.Schedule = 1, 256<<20, time.Hour
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	o.Installation = store.Installation()
	source := pool.Source{
		Name: "suite", Type: "kubernetes", Digest: "d", Spare: 2, Maximum: 4,
		Size: compute.Resources{Cores: 1, Memory: o.Memory},
	}
	p, err := pool.New(pool.Options{Store: store, Sources: []pool.Source{source}, NewID: uuid.NewString,
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
	d, err := director.New(director.Options{Pool: p, Tick: 100 * time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 10)
	go func() { ended <- d.Run(ctx) }()
	waiting := 1
	defer func() {
		cancel()
		for range waiting {
			<-ended
		}
	}()
	counts := func() inventory.Counts {
		all, err := p.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return all[0].Counts
	}
	ready := func(n int) {
		t.Helper()
		computetest.Eventually(t, fmt.Sprint(n, " ready"), func() error {
			if c := counts(); c.Ready != n {
				return fmt.Errorf("%+v", c)
			}
			return nil
		})
	}
	ask := func(req compute.Request) (compute.ID, error) {
		req.Source, req.Count, req.Owner = "suite", 1, "ann"
		ls, err := p.Acquire(ctx, req)
		if err != nil {
			return "", err
		}
		return ls[0].Instance, nil
	}
	ready(2)
	for range 2 { // they take the places that are left
		waiting++
		go func() {
			_, err := ask(compute.Request{Cores: 10_000, Wait: time.Hour})
			ended <- err
		}()
	}
	computetest.Eventually(t, "two pods wait for a node", func() error {
		if c := counts(); c.Creating+c.SettingUp != 2 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	var had []compute.ID
	for _, req := range []compute.Request{{Memory: 300 << 20, Wait: time.Minute}, {Wait: time.Minute}} {
		id, err := ask(req)
		if err != nil {
			t.Fatalf("%+v: err = %v; want no error", req, err)
		}
		had = append(had, id)
	}
	_, err = ask(compute.Request{Cores: 10_000, Wait: time.Second})
	if !errors.Is(err, compute.ErrTimeout) {
		t.Errorf("with no place left: %v", err)
	}
	if err := p.Release(ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, had...); err != nil {
		t.Fatal(err)
	}
	ready(2)
	cancel() // the two end
	for range waiting {
		<-ended
	}
	waiting = 0
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	_, err = ask(compute.Request{Cores: 10_000, Wait: 2 * time.Second})
	if !errors.Is(err, compute.ErrTimeout) || !strings.Contains(err.Error(), "Insufficient cpu") {
		t.Errorf("while its pod waits for a node: %v", err)
	}
	all, err := p.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s := all[0]; s.Failures != 0 || s.LastError != "" {
		t.Errorf("of the source it is said: %+v", s)
	}
	if _, err := p.RunDue(ctx); err != nil {
		t.Error(err)
	}
}
