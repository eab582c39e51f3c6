package leasecmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
)

// takeTimed acquires with acquire. It also returns the time in the queue.
func takeTimed(a *cli.App,
	ctx context.Context, engine cli.Engine, req compute.Request,
	acquire func(context.Context, compute.Request) ([]compute.Lease, error),
) ([]compute.Lease, time.Duration, error) {
	req.Owner = a.Owner() // a controller knows the user by now
	ctx, cancel := context.WithCancelCause(ctx)
	w := &waiting{app: a, engine: engine, req: req, asked: time.Now(), began: make(chan struct{})}
	req.Notify = w.notify
	a.WarnOfHooks(append(w.leaves(req.Source), req.Source)...)
	var looks sync.WaitGroup
	looks.Go(func() { w.watch(ctx, cancel) })
	looks.Go(func() { w.overdue(ctx) })
	looks.Go(func() { w.slow(ctx) })
	a.Log.Debug("asking for instances", "source", req.Source, "count", req.Count, "image", req.Image, "name", req.Name)
	leases, err := acquire(ctx, req)
	a.Log.Debug("the answer", "leases", leaseNames(leases), "took", time.Since(w.asked), "err", err)
	vain := errors.Is(context.Cause(ctx), errVain)
	cancel(nil)
	looks.Wait()
	queued := w.queued()
	if err == nil {
		return leases, queued, nil
	}
	held := w.held(context.WithoutCancel(ctx))
	if vain {
		err = &compute.Error{
			ID: compute.ID(req.Source), Kind: compute.ErrNoCapacity,
			Err: fmt.Errorf("%w: %s", errVain, strings.Join(held, ", ")),
		}
	}
	if len(held) > 0 && (errors.Is(err, compute.ErrNoCapacity) || errors.Is(err, compute.ErrTimeout)) {
		kind := compute.ErrNoCapacity
		if errors.Is(err, compute.ErrTimeout) {
			kind = compute.ErrTimeout
		}
		err = &compute.Error{Kind: kind, Err: err, Hint: "`hostler discard " + strings.Join(held, " ") + "` ends that it is held"}
	}
	return leases, queued, err
}
