package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// ready makes a pod and waits until it can be entered.
func ready(t *testing.T, p *kubernetes.Provider, id compute.ID) compute.Conn {
	t.Helper()
	if _, err := p.Create(t.Context(), compute.Spec{ID: id}); err != nil {
		t.Fatal(err)
	}
	return enter(t, p, id)
}

// again is the pause of those who ask until it is so: without one they would ask thousands of times
// a second, and what they wait for would come later.
const again = 20 * time.Millisecond

func enter(t *testing.T, p *kubernetes.Provider, id compute.ID) compute.Conn {
	t.Helper()
	var conn compute.Conn
	computetest.Eventually(t, "it can be entered", func() (err error) {
		conn, err = p.Connect(t.Context(), id)
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// patience is how long a test waits for the cluster, which can have failed.
const patience = 2 * time.Minute

// entered enters a computer as soon as it is ready.
func entered(ctx context.Context, p *kubernetes.Provider, id compute.ID) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		conn, err := p.Connect(ctx, id)
		if err == nil {
			return conn.Close()
		}
		if !errors.Is(err, compute.ErrNotReady) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(again):
		}
	}
}

// want waits for an error of a kind with words in it.
func want(t *testing.T, kind error, words string, try func() error) {
	t.Helper()
	computetest.Eventually(t, words, func() error {
		err := try()
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
}

// late are the library's: they see within five seconds that their connection is closed.
var late = []string{"k8s.io/client-go/tools/remotecommand.(*heartbeat).start"}

// TestConn runs the suite on our program in a pod.
func TestConn(t *testing.T) {
	p := open(t, site(t))
	// begins the watch: a connection that lives long would, and what it leaves would be no case's
	// own
	if _, err := p.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := ready(t, p, "suite-1")
	_ = conn.Close()
	computetest.Conn(t, computetest.ConnOptions{
		New: func(t *testing.T) compute.Conn {
			c, err := p.Connect(t.Context(), "suite-1")
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Dir: t.TempDir(), Shell: true, Huge: 4 << 20, Late: late,
	})
}

func second[T any](_ T, err error) error { return err }

// TestQuota has what the namespace's quota refuses be no capacity, with nothing made.
func TestQuota(t *testing.T) {
	t.Parallel()
	o := site(t)
	lab.Ctl(t, "", "create", "quota", "few", "--hard=pods=1", "-n", o.Namespace)
	p := open(t, o)
	computetest.Eventually(t, "the quota counts", func() error {
		if !strings.Contains(lab.Ctl(t, "", "get", "quota", "few", "-n", o.Namespace, "-o", "jsonpath={.status.hard.pods}"), "1") {
			return errors.New("not yet")
		}
		return nil
	})
	ready(t, p, "suite-1")
	_, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"})
	if !errors.Is(err, compute.ErrNoCapacity) || !provider.WasUnasked(err) || !strings.Contains(err.Error(), "exceeded quota") {
		t.Errorf("over the quota: %v", err)
	}
}

// TestOthersPods has pods that are not ours, under the name of ours too, be left alone.
func TestOthersPods(t *testing.T) {
	t.Parallel()
	o := site(t)
	p := open(t, o)
	in, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(in.ProviderID, o.Namespace+"/")
	computetest.Eventually(t, "it is gone", func() error {
		if err := p.Destroy(t.Context(), "suite-1"); !errors.Is(err, compute.ErrNotFound) {
			return fmt.Errorf("Destroy: %w", err)
		}
		return nil
	})
	lab.Ctl(t, "", "run", name, "--image=theirs", "-n", o.Namespace)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("Create over another's pod: %v", err)
	}
	if err := p.Destroy(t.Context(), "suite-1"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Destroy of another's pod: %v", err)
	}
	if _, err := p.Connect(t.Context(), "suite-1"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Connect to another's pod: %v", err)
	}
	if got := lab.Ctl(
		t, "", "get", "pod", name, "-n", o.Namespace, "-o",
		"jsonpath={.spec.containers[0].image}{.metadata.deletionTimestamp}",
	); got != "theirs" {
		t.Errorf("the other's pod is %q now", got)
	}
}

// lines is output of which the first is waited for.
type lines struct {
	once  sync.Once
	first chan struct{} // closed when it is there
	text  string        // the first; for who has seen that
}

func (l *lines) Write(b []byte) (int, error) {
	l.once.Do(func() {
		l.text = strings.TrimSpace(string(b))
		close(l.first)
	})
	return len(b), nil
}

// heeding has who heeds a provider wait for news until WatchHealth says what is so; without news
// nothing is asked.
func heeding(t *testing.T, p *kubernetes.Provider) (until func(what string, so func(map[compute.ID]string, error) bool)) {
	news := make(chan struct{}, 1)
	p.NotifyHealth(func() {
		select {
		case news <- struct{}{}:
		default:
		}
	})
	return func(what string, so func(map[compute.ID]string, error) bool) {
		t.Helper()
		for {
			select {
			case <-news:
			case <-time.After(time.Minute):
				t.Fatalf("nobody is told that %s", what)
			}
			if so(p.WatchHealth(t.Context())) {
				return
			}
		}
	}
}

// TestAway has the API server go and come back: what is known is used meanwhile, then it is said,
// then all is as before. The watch itself tells who heeds it.
func TestAway(t *testing.T) {
	o := site(t)
	p := open(t, o)
	conn := ready(t, p, "suite-1")
	if _, err := p.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	identity, err := p.Identity(t.Context(), "suite-1")
	if err != nil || !p.Fit("suite-1", identity) {
		t.Errorf("before, it is not known to be fit: %v", err)
	}
	told := heeding(t, p)
	lab.Stop(t, "apiserver")
	defer func() {
		if err := lab.Up(); err != nil {
			t.Fatal(err)
		}
	}()
	told("it is away", func(_ map[compute.ID]string, err error) bool { return errors.Is(err, compute.ErrUnavailable) })
	if list, err := p.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("List right after: %v %v", list, err)
	}
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"}); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("Create: %v", err)
	}
	if err := p.Destroy(t.Context(), "suite-1"); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("Destroy: %v", err)
	}
	// What the watch told counts for a while; but nobody is to be given what cannot be entered.
	if _, err := p.WatchHealth(t.Context()); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("Oversee: %v", err)
	}
	if err := p.Check(t.Context(), "suite-1"); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("Check: %v", err)
	}
	if p.Fit("suite-1", identity) {
		t.Error("it is known to be fit")
	}
	_ = conn.Close()
	if err := lab.Up(); err != nil {
		t.Fatal(err)
	}
	told("it is back", func(_ map[compute.ID]string, err error) bool { return err == nil })
	computetest.Eventually(t, "it can be made", func() error {
		_, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"})
		return err
	})
	computetest.Eventually(t, "both are listed", func() error {
		list, err := p.List(t.Context())
		if len(list) != 2 {
			return fmt.Errorf("%v %w", list, err)
		}
		return nil
	})
	enter(t, p, "suite-1")
	lab.Ctl(t, "", "delete", "pod", podOf(t, p, o, "suite-1"), "-n", o.Namespace, "--wait=false")
	told("a pod has ended", func(ended map[compute.ID]string, err error) bool {
		return strings.Contains(ended["suite-1"], "deleted")
	})
}
