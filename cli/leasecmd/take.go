package leasecmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

func Acquire(a *cli.App, ctx context.Context, flags *AcquireFlags, count int, pid string) ([]compute.Lease, error) {
	source, err := a.SourceName()
	if err != nil {
		return nil, err
	}
	req, err := flags.Request(a, source)
	if err != nil {
		return nil, err
	}
	req.Count = count
	if err := CheckKey(flags.key); err != nil {
		return nil, err
	}
	if flags.Name != "" && count != 1 {
		return nil, fault.Invalid("", "--name %s: a name is for one instance, not %d", flags.Name, count)
	}
	bound, err := processOf(pid)
	if err != nil {
		return nil, err
	}
	a.Host.LeaseIdle = cli.IdleAcquired
	engine, err := a.Engine(ctx)
	if err != nil {
		return nil, err
	}
	if flags.key == "" { // with a key, the server checks the name
		err = CheckName(a, ctx, engine, flags.Name)
	}
	if err != nil {
		return nil, err
	}
	if bound.PID != 0 {
		if err := bindTo(a, &req, bound.PID); err != nil {
			return nil, err
		}
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	acquire := engine.Acquire
	if flags.key != "" {
		acquire = keyed(a, engine, flags.key)
	}
	leases, _, err := takeTimed(a, ctx, engine, req, acquire)
	err = a.Unread(source, err)
	a.Ring(ctx)
	if err == nil && bound.PID != 0 && req.For.PID == 0 {
		err = standFor(a, bound, leases)
	}
	became := "nothing is acquired"
	if flags.key != "" {
		became = "the same with --key " + term.Line(flags.key) + " tells what is acquired"
	}
	return leases, a.Interrupted(err, became)
}

// CheckName refuses a lease's name that could be mistaken for another kind of name.
func CheckName(a *cli.App, ctx context.Context, engine cli.Engine, name string) error {
	if a.Remote != nil { // a controller checks names itself
		return nil
	}
	return api.CheckFree(ctx, name, a.IsSource, engine.Resolve)
}

// Take acquires instances. While a request waits, it prints why, and it stops a wait that cannot
// end.
func Take(a *cli.App, ctx context.Context, engine cli.Engine, req compute.Request) ([]compute.Lease, error) {
	leases, _, err := takeTimed(a, ctx, engine, req, engine.Acquire)
	return leases, err
}

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
	leases, err := acquire(ctx, req)
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

// errVain says that all instances are held aside, so no release can end the wait.
var errVain = errors.New("all of it is held aside")
