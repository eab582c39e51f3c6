package cloud

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hostler-project/hostler/compute"
)

// logins are the providers of servers, one for each login.
type logins struct {
	open func(context.Context, Login) (compute.Provider, error)

	mu  sync.Mutex
	all map[Login]*openProvider
}

// openProvider is a provider that is open or being opened.
type openProvider struct {
	turn     chan struct{} // one slot: its holder opens the provider, and has what follows
	p        compute.Provider
	err      error        // of the last failure
	failures atomic.Int64 // read without the turn
}

// provider opens the provider of a login, once. Callers that wait for another's failure get its
// error; the next one tries again.
func (l *logins) provider(ctx context.Context, login Login) (compute.Provider, error) {
	l.mu.Lock()
	o := l.all[login]
	if o == nil {
		o = &openProvider{turn: make(chan struct{}, 1)}
		l.all[login] = o
	}
	l.mu.Unlock()
	before := o.failures.Load()
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch {
	case o.p != nil:
		return o.p, nil
	case o.failures.Load() > before:
		return nil, o.err
	}
	p, err := l.open(ctx, login)
	if err == nil {
		o.p = p
	} else if ctx.Err() == nil { // otherwise we gave up, which says nothing to the others
		o.err = err
		o.failures.Add(1)
	}
	return p, err
}

// forget makes the next use open the providers anew, with the new settings.
func (l *logins) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.all)
}
