package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestQueue: who waits is listed, and taken out of the queue by himself or an administrator.
func TestQueue(t *testing.T) {
	url := serve(t, engine(t))
	ann, bob, root := connect(t, url, "ann"), connect(t, url, "bob"), connect(t, url, "root")
	lasted(t, ann, "web") // so that it is known for how long
	if _, err := ann.Acquire(t.Context(), compute.Request{Source: "web", Count: maximum}); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	wait := func() (id int64) {
		go func() {
			_, err := bob.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Wait: time.Minute, Priority: 7, Purpose: "to see", Notify: func(compute.Progress) {}})
			gone <- err
		}()
		eventually(t, "somebody waits", func() bool {
			all, err := ann.Queue(t.Context())
			if err != nil || len(all) != 1 {
				return false
			}
			q := all[0]
			if q.Owner != "bob" || q.Position != 1 || q.Priority != 7 || q.Purpose != "to see" || q.Count != 1 || q.Source != "web" || q.Estimate <= 0 || q.Since.IsZero() {
				t.Errorf("the queue has %+v", q)
			}
			id = q.ID
			return true
		})
		return id
	}
	id := wait()
	if err := ann.Cancel(t.Context(), compute.Who{}, id); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("ann takes bob's out: %v", err)
	}
	if err := bob.Cancel(t.Context(), compute.Who{}, id+1); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	if err := bob.Cancel(t.Context(), compute.Who{}, id); err != nil {
		t.Error(err)
	}
	if err := <-gone; !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), "taken out of the queue by bob") {
		t.Errorf("bob hears %v", err)
	}
	if err := root.Cancel(t.Context(), compute.Who{}, wait()); err != nil {
		t.Error(err)
	}
	if err := <-gone; !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), "by root") {
		t.Errorf("bob hears %v", err)
	}
}

// counter notes the answers' statuses.
type counter struct {
	mu  sync.Mutex
	bad []string
}

func (c *counter) observe(method, route string, status int, _ time.Duration) {
	if status >= 500 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bad = append(c.bad, fmt.Sprint(method, " ", route, " ", status))
	}
}

// lasted takes a lease and ends it, so that something is known of how long they last.
func lasted(t *testing.T, c *client.Client, source string) {
	t.Helper()
	ls, err := c.Acquire(t.Context(), compute.Request{Source: source, Count: 1})
	if err == nil {
		time.Sleep(5 * time.Millisecond)
		err = c.Release(t.Context(), compute.Who{}, compute.ReleaseOptions{}, ls[0].Instance)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestRush: 500 requests, 100 at once, for fewer instances than asked for: all are served, in order, and each that waits is told how long it may take.
func TestRush(t *testing.T) {
	const requests, atOnce, instances = 500, 100, 10
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	log := slog.New(slog.DiscardHandler)
	p, err := pool.New(pool.Options{Store: st, NewID: uuid.NewString, Sources: []pool.Source{{Name: "web", Type: "fake", Digest: "d", Reserve: instances, Maximum: instances, Reuse: "as-is"}},
		Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			return fake.Open(ctx, log, fake.Options{Source: name, Installation: st.Installation()})
		}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Fill(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	seen := &counter{}
	c := connect(t, serveObserved(t, p, seen.observe), "ann")
	lasted(t, c, "web")
	var mu sync.Mutex
	waited, unsaid := 0, 0
	var wg sync.WaitGroup
	gate := make(chan struct{}, atOnce)
	for n := range requests {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			var last compute.Progress
			told := false
			ls, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Wait: 5 * time.Minute, Purpose: strconv.Itoa(n), Notify: func(p compute.Progress) {
				if p.Phase == "wait" {
					last, told = p, told || p.Estimate > 0
				}
			}})
			if err != nil || len(ls) != 1 {
				t.Errorf("request %d: %v %v", n, ls, err)
				return
			}
			if last.Position > 0 {
				mu.Lock()
				waited++
				if !told {
					unsaid++
				}
				mu.Unlock()
			}
			time.Sleep(5 * time.Millisecond)
			if err := c.Release(t.Context(), compute.Who{}, compute.ReleaseOptions{}, ls[0].Instance); err != nil {
				t.Errorf("request %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	if waited < atOnce/2 || unsaid > 0 {
		t.Errorf("%d of %d waited, and %d of them were not told for how long", waited, requests, unsaid)
	}
	if len(seen.bad) > 0 {
		t.Errorf("%d answers of %d or more: %v", len(seen.bad), http.StatusInternalServerError, seen.bad[:1])
	}
	all, err := c.Queue(t.Context())
	ls, err2 := c.Leases(t.Context(), compute.LeaseQuery{})
	if err := errors.Join(err, err2); err != nil || len(all)+len(ls) != 0 {
		t.Errorf("left over: %v %v %v", all, ls, err)
	}
	t.Logf("%d of %d waited", waited, requests)
}
