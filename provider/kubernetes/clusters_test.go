package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestClusters has two clusters in one pool, by contexts of one kubeconfig, of which one cannot be
// reached for a while: its leases stay, what stands ready there is given to nobody and the other
// serves; when it can be reached again it is as before, and what was given back meanwhile goes.
func TestClusters(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Fresh(time.Second)
	far := site(t) // another namespace
	cut := cutAt(t, &o)
	_, direct := address(t, far.Kubeconfig)
	config := func(args ...string) string {
		return strings.TrimSpace(lab.Ctl(t, "", append([]string{"config", "--kubeconfig=" + o.Kubeconfig}, args...)...))
	}
	user, first := config("view", "-o", "jsonpath={.users[0].name}"), config("current-context")
	ca := config("view", "--raw", "-o", "jsonpath={.clusters[0].cluster.certificate-authority}")
	config("set-cluster", "far", "--server="+direct.String(), "--certificate-authority="+ca)
	config("set-context", "far", "--cluster=far", "--user="+user, "--namespace="+far.Namespace)
	config("set-context", first, "--namespace="+o.Namespace)
	options := map[string]kubernetes.Options{}
	for name, at := range map[string]string{"near": first, "far": "far"} {
		one := o
		one.Source, one.Context, one.Namespace = name, at, ""
		options[name] = one
	}

	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	engine := func() *pool.Pool { // as of another process: what each is told, it is told at once
		t.Helper()
		e, err := pool.New(pool.Options{Store: st, NewID: uuid.NewString, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Sources: []pool.Source{
				{Name: "near", Type: "kubernetes", Digest: "d", Reserve: 2, Maximum: 3}, {Name: "far", Type: "kubernetes", Digest: "d"},
				{Name: "both", Type: "pool", Digest: "d", Children: []string{"near", "far"}},
			},
			Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
				p, err := kubernetes.Open(ctx, nil, options[name])
				if err == nil {
					t.Cleanup(func() { _ = p.Close() })
				}
				return p, err
			}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Provider(t.Context(), "near"); err != nil {
			t.Fatal(err)
		}
		return e
	}
	tend := func(e *pool.Pool) {
		t.Helper()
		var all sync.WaitGroup
		opt := pool.ReconcileOptions{Go: all.Go, Done: func() {}, Failed: func(err error) { t.Log(err) }}
		if _, err := e.Reconcile(t.Context(), opt); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
	near := func(e *pool.Pool) inventory.SourceStatus {
		t.Helper()
		all, err := e.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.Name == "near" {
				return s
			}
		}
		return inventory.SourceStatus{}
	}
	take := func(e *pool.Pool, source string) compute.Lease {
		t.Helper()
		ls, err := e.Acquire(t.Context(), compute.Request{Source: source, Count: 1, Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		return ls[0]
	}
	who := compute.Who{Owner: "ann"}

	e := engine()
	stays, back := take(e, "both"), take(e, "near")
	if stays.Instance != "both-near-1" {
		t.Errorf("the first of a pool is %s", stays.Instance)
	}
	fill(t, e, "near", 3)
	cut.set(t, true)
	computetest.Eventually(t, "it is known that it cannot be reached", func() error {
		p, err := e.Provider(t.Context(), "near")
		if err != nil {
			return err
		}
		watch := provider.Of(p).Health.Watch
		if _, err = watch(t.Context()); err == nil {
			return errors.New("it answers")
		}
		return nil
	})
	tend(e)
	if s := near(e); s.Available == nil || *s.Available != 0 || s.Counts.Ready != 1 ||
		s.Unreachable.IsZero() || !s.Paused.After(time.Now()) {
		t.Errorf("while it cannot be reached: %+v", s)
	}
	other := take(e, "both")
	if !strings.HasPrefix(string(other.Instance), "both-far-") {
		t.Errorf("the pool gives %s", other.Instance)
	}
	if _, err := e.Acquire(t.Context(), compute.Request{Source: "near", Count: 1, Owner: "ann"}); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("by itself: %v", err)
	}
	// it cannot be told now
	_ = e.Release(t.Context(), who, compute.ReleaseOptions{}, back.Instance)
	if _, err := e.Authorize(t.Context(), compute.Who{Owner: "ann", Lease: stays.ID}, stays.Instance); err != nil {
		t.Errorf("the lease: %v", err)
	}

	cut.set(t, false)
	computetest.Eventually(t, "all is as before", func() error {
		e = engine()
		tend(e)
		if s := near(e); s.Counts.Ready != 1 || s.Counts.Leased != 1 || s.Counts.Discarding != 0 || *s.Available == 0 || s.LastError != "" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	again := take(e, "both")
	if !strings.HasPrefix(string(again.Instance), "both-near-") {
		t.Errorf("afterwards the pool gives %s", again.Instance)
	}
	for _, l := range []compute.Lease{stays, other, again} {
		c, err := e.Connect(t.Context(), who, l.Instance)
		if err != nil {
			t.Fatal(err)
		}
		if exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"true"}}); err != nil || exit.Status() != 0 {
			t.Errorf("a command on %s: %+v %v", l.Instance, exit, err)
		}
		_ = c.Close()
	}
	for _, namespace := range []string{o.Namespace, far.Namespace} {
		if n := strings.Count(
			lab.Ctl(t, "", "get", "pods", "-n", namespace, "-o", "name"), "\n",
		); n != map[string]int{o.Namespace: 2, far.Namespace: 1}[namespace] {
			t.Errorf("%s has %d pods", namespace, n)
		}
	}
	if err := e.Release(
		t.Context(), who, compute.ReleaseOptions{Discard: true}, stays.Instance, other.Instance, again.Instance,
	); err != nil {
		t.Error(err)
	}
}

// fill has so many instances of a source be there, in use and ready together.
func fill(t *testing.T, e *pool.Pool, source string, n int) {
	t.Helper()
	all, err := e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Name != source {
			continue
		}
		finish, err := e.Do(
			t.Context(),
			plan.Directive{
				Verb: plan.VerbCreate, Source: source, Count: n - s.Counts.InUse() - s.Counts.Cached(), Total: n,
				Reason: "a test",
			},
		)
		if err == nil && finish != nil {
			err = finish(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
