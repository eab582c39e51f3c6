package cloud

import (
	"context"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// logins are the providers of servers, one for each login.
type logins struct {
	open func(context.Context, Login) (compute.Provider, error)

	mu  sync.Mutex
	all map[Login]*openProvider
}

// openProvider is a provider that is open or being opened. done is closed when p or err is set.
type openProvider struct {
	done      chan struct{}
	p         compute.Provider
	err       error
	abandoned bool // err only says that its opener gave up waiting
}

// provider opens the provider of a login, once.
func (l *logins) provider(ctx context.Context, login Login) (compute.Provider, error) {
	for {
		l.mu.Lock()
		o, ok := l.all[login]
		if !ok {
			o = &openProvider{done: make(chan struct{})}
			l.all[login] = o
		}
		l.mu.Unlock()
		if !ok {
			l.begin(ctx, login, o)
		}
		select {
		case <-o.done:
			if ok && o.abandoned && ctx.Err() == nil {
				continue // another caller gave up; that says nothing to us
			}
			return o.p, o.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// begin opens the provider for login and closes o.done. A failed one is forgotten, so the next
// caller tries again.
func (l *logins) begin(ctx context.Context, login Login, o *openProvider) {
	defer close(o.done)
	if o.p, o.err = l.open(ctx, login); o.err == nil {
		return
	}
	o.abandoned = ctx.Err() != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[login] == o {
		delete(l.all, login) // the next one tries again
	}
}

// forget makes the next use open the providers anew, with the new settings.
func (l *logins) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.all)
}
