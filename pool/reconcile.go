package pool

import (
	"context"
	"time"
)

// Reconcile begins all work that is due, each source's by itself, and returns when there will be
// more; zero: none is known. It waits for no provider. Its work ends with ctx. It is for a
// process that lives on and calls it again when Done is called; RunDue does the same and waits for
// the end. Engines that share an Inflight begin nothing twice.
func (p *Pool) Reconcile(ctx context.Context, with ReconcileOptions) (next time.Time, err error) {
	l := &p.core.Inflight.Workers
	if !with.Apart {
		l.Mu.Lock()
		l.Done = with.Done
		l.Mu.Unlock()
	}
	return p.background.Reconcile(ctx, l, with, nil)
}

// RunDue does all work that is due for the named sources, or for all: leases that are over, what
// dead processes left half-done, cleaning, discarding, surplus. It returns when there will be
// more to do; zero: none is known.
func (p *Pool) RunDue(ctx context.Context, names ...string) (next time.Time, err error) {
	return p.background.RunDue(ctx, names...)
}
