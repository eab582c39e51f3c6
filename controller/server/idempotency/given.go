package idempotency

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// given holds the leases of requests with a key from before this process served its first one.
type given struct {
	mu      sync.Mutex
	looked  bool
	byMark  map[string][]compute.Lease
	looking chan struct{} // closed when the running look ends; nil: none runs
}

// lookPatience is how long a request waits for another's look before it looks itself, so that a
// look that hangs blocks nobody else.
const lookPatience = 5 * time.Second

// find returns the leases of one request, sorted by instance. Requests that come during a look
// share it.
func (g *given) find(ctx context.Context, e Engine, mark string) ([]compute.Lease, error) {
	for {
		if found, looked := g.known(mark); looked {
			return found, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		g.mu.Lock()
		other := g.looking
		mine := make(chan struct{})
		if other == nil {
			g.looking = mine
		}
		g.mu.Unlock()
		if other == nil {
			return g.look(ctx, e, mark, mine)
		}
		patience := time.NewTimer(lookPatience)
		select {
		case <-other: // it may have failed
		case <-ctx.Done():
		case <-patience.C:
			g.mu.Lock()
			if g.looking == other {
				g.looking = nil
			}
			g.mu.Unlock()
		}
		patience.Stop()
	}
}

// look lists all leases, and closes done for the requests that wait.
func (g *given) look(ctx context.Context, e Engine, mark string, done chan struct{}) ([]compute.Lease, error) {
	all, err := e.Leases(ctx, inventory.LeaseQuery{})
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.looking == done {
		g.looking = nil
	}
	close(done)
	if err != nil {
		return nil, err
	}
	if !g.looked { // another look may have been faster
		g.looked, g.byMark = true, marked(all)
	}
	return g.byMark[mark], nil
}

func (g *given) known(mark string) (found []compute.Lease, looked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.byMark[mark], g.looked
}

// marked groups leases by the request that they were given to. Leases with a worker are left out:
// their client has not been told of them, and they end with the worker.
func marked(all []compute.Lease) map[string][]compute.Lease {
	out := map[string][]compute.Lease{}
	for _, l := range all {
		if mark, _, ok := strings.Cut(l.Labels[api.KeyLabel], " "); ok && l.Worker == 0 {
			out[mark] = append(out[mark], l)
		}
	}
	for _, ls := range out {
		slices.SortFunc(ls, func(a, b compute.Lease) int { return strings.Compare(string(a.Instance), string(b.Instance)) })
	}
	return out
}
