package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/provider"
)

// guarded is a provider behind a guard.
type guarded struct {
	inner  compute.Provider
	o      Options
	places chan struct{} // one for each Create that may run; nil: no limit

	mu   sync.Mutex
	next time.Time // when the rate allows the next call
}

type (
	withCleaner struct {
		*guarded
		cleaner
	}
	withChecker struct {
		*guarded
		checker
	}
	withBoth struct {
		*guarded
		cleaner
		checker
	}
	cleaner struct {
		g     *guarded
		inner provider.Cleaner
	}
	checker struct {
		g     *guarded
		inner provider.Checker
	}
)

// New returns p behind a guard. The result is a provider.Cleaner or a provider.Checker exactly if p
// is one, as provider.As sees it.
func New(p compute.Provider, o Options) compute.Provider {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Pause = cmp.Or(o.Pause, 100*time.Millisecond)
	g := &guarded{inner: p, o: o}
	if o.Creates > 0 {
		g.places = make(chan struct{}, o.Creates)
	}
	clean, cleans := provider.As[provider.Cleaner](p)
	check, checks := provider.As[provider.Checker](p)
	switch {
	case cleans && checks:
		return &withBoth{g, cleaner{g, clean}, checker{g, check}}
	case cleans:
		return &withCleaner{g, cleaner{g, clean}}
	case checks:
		return &withChecker{g, checker{g, check}}
	}
	return g
}

// Unwrap returns the provider behind the guard.
func (g *guarded) Unwrap() compute.Provider { return g.inner }

// Create calls the wrapped provider's Create under the guard.
func (g *guarded) Create(ctx context.Context, spec compute.Spec) (out compute.Instance, err error) {
	err = g.call(ctx, Create, spec.ID, func(ctx context.Context) (err error) {
		out, err = g.inner.Create(ctx, spec)
		return err
	})
	return out, err
}

// Destroy calls the wrapped provider's Destroy under the guard.
func (g *guarded) Destroy(ctx context.Context, id compute.ID) error {
	return g.call(ctx, Destroy, id, func(ctx context.Context) error { return g.inner.Destroy(ctx, id) })
}

// List calls the wrapped provider's List under the guard.
func (g *guarded) List(ctx context.Context) (out []compute.Instance, err error) {
	err = g.call(ctx, List, compute.ID(g.o.Source), func(ctx context.Context) (err error) {
		out, err = g.inner.List(ctx)
		return err
	})
	return out, err
}

// Connect calls the wrapped provider's Connect under the guard. The connection is not guarded.
func (g *guarded) Connect(ctx context.Context, id compute.ID) (out compute.Conn, err error) {
	err = g.call(ctx, Connect, id, func(ctx context.Context) (err error) {
		out, err = g.inner.Connect(ctx, id)
		return err
	})
	return out, err
}

// Clean calls the wrapped provider's Clean under the guard.
func (c cleaner) Clean(ctx context.Context, id compute.ID) (checked string, err error) {
	err = c.g.call(ctx, Clean, id, func(ctx context.Context) (err error) {
		checked, err = c.inner.Clean(ctx, id)
		return err
	})
	return checked, err
}

// Check calls the wrapped provider's Check under the guard.
func (c checker) Check(ctx context.Context, id compute.ID) error {
	return c.g.call(ctx, Check, id, func(ctx context.Context) error { return c.inner.Check(ctx, id) })
}

// call runs one operation: it waits for a place and the rate, tries f until it succeeds or fails
// for good, and reports the result.
func (g *guarded) call(ctx context.Context, op string, id compute.ID, f func(context.Context) error) (err error) {
	start := time.Now()
	ctx, span := trace.StartKind(
		ctx, trace.Client, "provider "+op, trace.Attr{Key: "hostler.source", Value: g.o.Source},
		trace.Attr{Key: "hostler.instance", Value: string(id)},
	)
	defer func() {
		span.End(err)
		g.o.Log.Debug("the provider was asked", "op", op, "instance", id, "source", g.o.Source, "took", time.Since(start), "err", err)
		if g.o.Observe != nil {
			g.o.Observe(op, time.Since(start), err)
		}
	}()
	if op == Create && g.places != nil {
		select {
		case g.places <- struct{}{}:
			defer func() { <-g.places }()
		case <-ctx.Done():
			return provider.Unasked(g.fault(op, id, nil, ctx.Err()))
		}
	}
	wait, asked := g.o.Pause, false
	for try := 0; ; try++ {
		if err := g.turn(ctx); err != nil {
			return g.fault(op, id, nil, err)
		}
		err := g.try(ctx, op, id, f)
		if asked && provider.WasUnasked(err) {
			err = provider.Asked(err) // this try did nothing, but an earlier one may have
		}
		asked = asked || err != nil && !provider.WasUnasked(err)
		if try >= g.o.Retries || !passing(err) || ctx.Err() != nil {
			return err
		}
		pause := wait/2 + rand.N(wait/2+1) // spread, so that many callers do not come back together
		if end, ok := ctx.Deadline(); ok && time.Until(end) <= pause {
			return err
		}
		g.o.Log.Debug("the provider is tried again", "op", op, "instance", id, "source", g.o.Source, "pause", pause, "err", err)
		if sleep(ctx, pause) != nil {
			return err
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// passing reports whether an error may pass, so that another try is worth it.
func passing(err error) bool {
	if !errors.Is(err, compute.ErrUnavailable) {
		return false
	}
	for _, kind := range []error{
		compute.ErrNotReady, compute.ErrNoCapacity, compute.ErrInvalid, compute.ErrDenied, compute.ErrTimeout,
		context.Canceled,
	} {
		if errors.Is(err, kind) {
			return false
		}
	}
	return true
}

// try runs f once with its time-out. A panic in f becomes an error.
func (g *guarded) try(ctx context.Context, op string, id compute.ID, f func(context.Context) error) (err error) {
	limit, ok := g.o.Timeout[op]
	if !ok {
		limit = g.o.Timeout[""]
	}
	inner := ctx
	if limit > 0 {
		var cancel context.CancelFunc
		inner, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	defer func() {
		if r := recover(); r != nil {
			g.o.Log.Error("a provider panicked", "op", op, "instance", id, "source", g.o.Source, "err", r, "stack", string(debug.Stack()))
			err = g.fault(op, id, compute.ErrFailed, fmt.Errorf("the provider panicked: %v", r))
		}
	}()
	err = f(inner)
	if err != nil && ctx.Err() == nil && inner.Err() != nil && !errors.Is(err, compute.ErrNotFound) {
		return g.fault(op, id, compute.ErrTimeout, fmt.Errorf("no answer within %v: %w", limit, err))
	}
	return err
}

// turn waits until the rate allows a call.
func (g *guarded) turn(ctx context.Context) error {
	if g.o.Rate <= 0 {
		return nil
	}
	gap := time.Duration(float64(time.Second) / g.o.Rate)
	now := time.Now()
	g.mu.Lock()
	if g.next.Before(now) {
		g.next = now
	}
	mine := g.next
	g.next = mine.Add(gap)
	g.mu.Unlock()
	return sleep(ctx, mine.Sub(now))
}

// sleep waits for d, or until ctx ends: then it returns ctx's error. It does not wait if d is
// not positive.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *guarded) fault(op string, id compute.ID, kind, err error) error {
	if kind == nil && errors.Is(err, context.DeadlineExceeded) {
		kind = compute.ErrTimeout
	}
	return &compute.Error{Op: "guard." + op, ID: id, Kind: kind, Err: err}
}
