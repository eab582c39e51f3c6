package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

// world is an engine and its computers for tests of Run: making takes a second, setting up a
// minute.
type world struct {
	deploy.Options
	makes, applies func(name string) error

	mu   sync.Mutex
	live map[string]bool // nodes that are there
	told []string
	now  atomic.Int32 // nodes being set up
	most atomic.Int32
}

func newWorld(names ...string) *world {
	w := &world{live: map[string]bool{}}
	w.Options = deploy.Options{
		Names: names, OnFailure: deploy.Keep,
		Acquire: func(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
			if req.Labels[deploy.Label] == "" || req.Count != 1 {
				return nil, errors.New("not a node's request")
			}
			req.Notify(compute.Progress{Phase: "create", Instance: compute.ID("i-" + req.Name)})
			if err := sleep(ctx, time.Second); err != nil {
				return nil, err
			}
			if w.makes != nil {
				if err := w.makes(req.Name); err != nil {
					return nil, err
				}
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.live[req.Name] = true
			return []compute.Lease{{ID: "l-" + req.Name, Name: req.Name, Instance: compute.ID("i-" + req.Name)}}, nil
		},
		Connect: func(context.Context, *deploy.Node) (compute.Conn, error) { return noConn{}, nil },
		Apply: func(ctx context.Context, _ compute.Conn, n *deploy.Node) error {
			w.most.Store(max(w.most.Load(), w.now.Add(1)))
			defer w.now.Add(-1)
			n.Steps = append(n.Steps, deploy.Step{Name: "a.sh", Script: true})
			if err := sleep(ctx, time.Minute); err != nil {
				return err
			}
			if w.applies != nil {
				return w.applies(n.Name)
			}
			return nil
		},
		Release: func(ctx context.Context, n *deploy.Node) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.live, n.Name)
			return nil
		},
		Tell: func(n *deploy.Node) { w.told = append(w.told, fmt.Sprintf("%s %s %s", n.Name, n.State, n.Instance.ID)) },
	}
	return w
}

type noConn struct{ compute.Conn }

func (noConn) Close() error { return nil }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func states(nodes []*deploy.Node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name+" "+string(n.State))
	}
	return strings.Join(out, ", ")
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "b", "c", "d", "e")
		w.Parallel = 2
		start := time.Now()
		nodes, err := deploy.Run(t.Context(), w.Options)
		if err != nil || states(nodes) != "a ready, b ready, c ready, d ready, e ready" || len(w.live) != 5 {
			t.Errorf(
				"err = %v, states(nodes) = %s, w.live = %v"+
					`; want no error and states(nodes) == "a ready, b ready, c ready, d ready, e ready" and `+
					"len(w.live) == 5",
				err, states(nodes), w.live,
			)
		}
		if took := time.Since(start); took != 3*61*time.Second || w.most.Load() != 2 {
			t.Errorf("took %v, %d at once", took, w.most.Load())
		}
		if i, j := slices.Index(w.told, "a making i-a"), slices.Index(w.told, "a setting-up i-a"); i < 0 || j < i ||
			w.told[len(w.told)-1] != "e ready i-e" {
			t.Errorf(`w.told = %q; want i >= 0 and j >= i and w.told[len(w.told)-1] == "e ready i-e"`, w.told)
		}
	})
}

func TestRunFails(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name   string
		change func(*world)
		want   string
		live   int
	}{
		{"kept", func(*world) {}, "a ready, b failed, c ready", 3},
		{"destroyed", func(w *world) { w.OnFailure = deploy.Destroy }, "a ready, b destroyed, c ready", 2},
		{
			"asked, no", func(w *world) { w.OnFailure, w.Ask = deploy.Ask, func(*deploy.Node) bool { return false } },
			"a ready, b failed, c ready", 3,
		},
		{
			"asked, yes",
			func(w *world) { w.OnFailure, w.Ask = deploy.Ask, func(n *deploy.Node) bool { return n.Name == "b" } },
			"a ready, b destroyed, c ready", 2,
		},
		{"all or nothing", func(w *world) { w.AllOrNothing = true }, "a destroyed, b destroyed, c destroyed", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld("a", "b", "c")
				w.applies = func(name string) error {
					if name == "b" {
						return boom
					}
					return nil
				}
				c.change(w)
				nodes, err := deploy.Run(t.Context(), w.Options)
				var setup *deploy.SetupError
				if !errors.Is(err, boom) || !errors.As(err, &setup) || strings.Count(err.Error(), "\n") != 0 {
					t.Errorf(
						"err = %v"+
							"; want error boom and errors.As(err, &setup) and strings.Count(err.Error(), \"\\n\") == 0",
						err,
					)
				}
				if states(nodes) != c.want || len(w.live) != c.live {
					t.Errorf(
						"states(nodes) = %s, w.live = %v"+
							"; want states(nodes) == c.want and len(w.live) == c.live",
						states(nodes), w.live,
					)
				}
			})
		})
	}
}

func TestRunNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "b")
		full := &compute.Error{Kind: compute.ErrNoCapacity, Err: errors.New("full")}
		w.makes = func(name string) error {
			if name == "a" {
				return full
			}
			return nil
		}
		w.AllOrNothing = true
		nodes, err := deploy.Run(t.Context(), w.Options)
		if !errors.Is(err, compute.ErrNoCapacity) || nodes[0].State != deploy.NotMade || nodes[1].State == deploy.Done || len(w.live) != 0 {
			t.Errorf(
				"err = %v, states(nodes) = %s, w.live = %v"+
					"; want error compute.ErrNoCapacity and nodes[0].State == deploy.NotMade and "+
					"nodes[1].State != deploy.Done and len(w.live) == 0",
				err, states(nodes), w.live,
			)
		}
	})
}

// TestRunInterrupted ends the context while nodes wait, are made, are set up and are ready.
func TestRunInterrupted(t *testing.T) {
	for _, c := range []struct {
		after  time.Duration
		policy deploy.OnFailure
		want   string
		live   int
	}{
		{0, deploy.Keep, "a not-made, b not-made", 0},
		{500 * time.Millisecond, deploy.Keep, "a not-made, b not-made", 0},
		{30 * time.Second, deploy.Keep, "a failed, b not-made", 1},
		{30 * time.Second, deploy.Destroy, "a destroyed, b not-made", 0},
		// nobody is asked who wants to leave
		{30 * time.Second, deploy.Ask, "a failed, b not-made", 1},
		{90 * time.Second, deploy.Destroy, "a ready, b destroyed", 1},
	} {
		t.Run(fmt.Sprint(c.after, c.policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld("a", "b")
				w.Parallel, w.OnFailure, w.Ask = 1, c.policy, func(*deploy.Node) bool { t.Error("asked"); return true }
				ctx, cancel := context.WithTimeout(t.Context(), c.after)
				defer cancel()
				nodes, err := deploy.Run(ctx, w.Options)
				if !errors.Is(err, context.DeadlineExceeded) || states(nodes) != c.want || len(w.live) != c.live {
					t.Errorf(
						"err = %v, states(nodes) = %s, w.live = %v"+
							"; want error context.DeadlineExceeded and states(nodes) == c.want and len(w.live) == c.live",
						err, states(nodes), w.live,
					)
				}
			})
		})
	}
}

func TestRunLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a")
		w.OnFailure = deploy.Destroy
		w.applies = func(string) error { return errors.New("boom") }
		w.Release = func(context.Context, *deploy.Node) error { return errors.New("the cloud is away") }
		nodes, err := deploy.Run(t.Context(), w.Options)
		if nodes[0].State != deploy.Failed || nodes[0].Left == nil ||
			!strings.Contains(err.Error(), "the cloud is away") || !strings.Contains(err.Error(), "boom") {
			t.Errorf(
				"%s: err = %v"+
					`; want nodes[0].State == deploy.Failed and nodes[0].Left != nil and err.Error() with "the `+
					`cloud is away" and err.Error() with "boom"`,
				states(nodes), err,
			)
		}
	})
}
