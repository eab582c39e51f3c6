package access

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

// Recheck is how often to check that a long request is still permitted, and that a lease in use
// still belongs to the caller. The check counts as use of the lease.
const Recheck = 2 * time.Second

// underway holds the requests in progress. While there are any, it checks all of them from time to
// time. So a stream, for one, ends when its caller loses the permission. A token may be revoked
// meanwhile, or its owner removed from a project.
type underway struct {
	look func(*going) // checks one request

	mu    sync.Mutex
	all   map[*going]struct{}
	armed bool // a round is running or due
}

// going is a request in progress.
type going struct {
	r   *http.Request // as it was received
	as  auth.Principal
	end context.CancelCauseFunc
}

// enter notes a request until leave is called with it.
func (u *underway) enter(g *going) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[*going]struct{}{}
	}
	u.all[g] = struct{}{}
	if !u.armed {
		u.armed = true
		time.AfterFunc(Recheck, u.round)
	}
}

func (u *underway) leave(g *going) {
	u.mu.Lock()
	delete(u.all, g)
	u.mu.Unlock()
}

// round checks all requests. It runs again while there are any.
func (u *underway) round() {
	u.mu.Lock()
	some := slices.Collect(maps.Keys(u.all))
	u.mu.Unlock()
	for _, g := range some {
		if g.r.Context().Err() == nil {
			u.look(g)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.armed = len(u.all) > 0; u.armed {
		time.AfterFunc(Recheck, u.round)
	}
}

// still ends a request that its caller may no longer make.
func (g *Gate) still(was *going) {
	now, err := g.Authenticate(was.r)
	if errors.Is(err, compute.ErrDenied) || err == nil && !was.as.Same(now) {
		g.Errors.LogOf(was.r.Context()).Info(
			"a request is ended, as what its asker may has changed", "who", was.as.Name, "via", was.as.Via, "path",
			was.r.URL.Path,
		)
		was.end(&compute.Error{Kind: compute.ErrDenied, Err: errors.New("what you may has changed"), Hint: "ask again"})
	}
}
