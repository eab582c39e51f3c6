package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
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
			_, err := bob.Acquire(
				t.Context(),
				compute.Request{
					Source: "web", Count: 1, Wait: time.Minute, Priority: 7, Purpose: "to see",
					Notify: func(compute.Progress) {},
				},
			)
			gone <- err
		}()
		eventually(t, "somebody waits", func() bool {
			all, err := ann.Queue(t.Context())
			if err != nil || len(all) != 1 {
				return false
			}
			q := all[0]
			if q.Owner != "bob" || q.Position != 1 || q.Priority != 7 || q.Purpose != "to see" || q.Count != 1 ||
				q.Source != "web" || q.Estimate <= 0 || q.Since.IsZero() {
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
