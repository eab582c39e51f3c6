package server_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// looked counts who reads the journal.
type looked struct {
	*pool.Pool
	ends, reads atomic.Int64
}

func (l *looked) Events(ctx context.Context, q inventory.EventQuery) ([]compute.Event, error) {
	if q.Newest == 1 {
		l.ends.Add(1)
	} else {
		l.reads.Add(1)
	}
	return l.Pool.Events(ctx, q)
}

// TestQuietWatchers: while nothing happens those who watch read nothing; it is looked once for all
// of them, and not at all when they have gone.
func TestQuietWatchers(t *testing.T) {
	const watchers, looks = 50, 10
	e := &looked{Pool: engine(t)}
	url := serve(t, e)
	c := connect(t, url, "root")
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var heard atomic.Int64
	for range watchers {
		all.Go(func() {
			_ = c.Watch(ctx, inventory.EventQuery{}, func(compute.Event) error { heard.Add(1); return nil })
		})
	}
	eventually(t, "all watch, and it is looked", func() bool { return e.reads.Load() >= watchers && e.ends.Load() >= watchers+looks })
	if got := e.reads.Load(); got > 2*watchers { // at the begin, and when the first look is done
		t.Errorf("%d watchers read %d times while nothing happened", watchers, got)
	}
	if _, err := e.Acquire(t.Context(), compute.Request{Source: "web", Owner: "bob", Count: 1}); err != nil {
		t.Fatal(err)
	}
	written, err := e.Pool.Events(t.Context(), inventory.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all hear all of it", func() bool { return heard.Load() == int64(watchers*len(written)) })
	cancel()
	all.Wait()
	eventually(t, "nobody looks any more", func() bool {
		before := e.ends.Load()
		time.Sleep(time.Second) // as long as nothing asks
		return e.ends.Load() == before
	})
}
