package pooltest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
)

// simProvider is a process's way to a cloud: a fake provider whose calls take time, fail, and lose
// their answers, by the seed.
type simProvider struct {
	p *process
	s *simSource
	f *fake.Provider
}

// The abilities that a source's provider has beside.
type (
	simCleaner struct{ *simProvider }
	simChecker struct{ compute.Provider }
	simFixed   struct{ compute.Provider }
)

func (s simChecker) Unwrap() compute.Provider { return s.Provider }
func (s simFixed) Unwrap() compute.Provider   { return s.Provider }

var errWeather = errors.New("bad weather")

// open is the engine's Open.
func (p *process) open(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
	s := p.w.source(name)
	p.w.sched.yield(p, "open "+name)
	if p.w.trouble(s, "open") {
		return nil, &compute.Error{ID: compute.ID(name), Kind: compute.ErrUnavailable, Err: errWeather}
	}
	f, err := fake.Open(ctx, slog.New(slog.DiscardHandler), fake.Options{Source: name, Installation: p.store.Installation(), Cloud: s.cloud,
		Boot: s.boot, DestroyTime: s.goes})
	if err != nil {
		return nil, err
	}
	sp := &simProvider{p: p, s: s, f: f}
	var out compute.Provider = sp
	if s.cleans {
		out = simCleaner{sp}
	}
	if s.checks {
		out = simChecker{out}
	}
	if len(s.names) > 0 {
		out = simFixed{out}
	}
	return out, nil
}

// trouble tells whether an operation shall fail now.
func (w *world) trouble(s *simSource, op string) bool { return !w.calm && w.chance(s.fails[op]) }

// call makes one call to the provider: before it and after it others may come, or the end.
func (c *simProvider) call(ctx context.Context, op string, id compute.ID, effect func() error) error {
	w := c.p.w
	w.sched.yield(c.p, op+" "+string(id))
	if w.chance(w.Weather.Slow) {
		w.sleep(c.p, w.upTo(3*time.Second))
	}
	if err := ctx.Err(); err != nil {
		return &compute.Error{Op: op, ID: id, Err: err}
	}
	kind := pick(w.dice, compute.ErrUnavailable, compute.ErrFailed)
	if w.trouble(c.s, op) {
		return &compute.Error{Op: op, ID: id, Kind: kind, Err: errWeather}
	}
	err := effect()
	w.sched.yield(c.p, op+" answered")
	if err == nil && w.trouble(c.s, op+"-answer") {
		err = &compute.Error{Op: op, ID: id, Kind: kind, Err: errWeather}
	}
	if w.chance(w.Weather.Slow) {
		w.sleep(c.p, w.upTo(time.Second))
	}
	return err
}

func (c *simProvider) Create(ctx context.Context, spec compute.Spec) (i compute.Instance, err error) {
	err = c.call(ctx, "create", spec.ID, func() error {
		w := c.p.w
		at := time.Since(w.sched.start)
		if !w.calm && c.s.outage[0] <= at && at < c.s.outage[1] {
			c.s.attempts++
			return &compute.Error{Op: "create", ID: spec.ID, Kind: compute.ErrUnavailable, Err: errors.New("outage")}
		}
		w.mayCreate(c.s, spec)
		if !w.roomFor(spec) {
			return &compute.Error{Op: "create", ID: spec.ID, Kind: compute.ErrNoCapacity, Err: errors.New("there is none")}
		}
		i, err = c.f.Create(ctx, spec)
		return err
	})
	return i, err
}

func (c *simProvider) Destroy(ctx context.Context, id compute.ID) error {
	return c.call(ctx, "destroy", id, func() error {
		if c.p.w.bend.earlyGone && c.p.w.chance(0.3) {
			return &compute.Error{ID: id, Kind: compute.ErrNotFound}
		}
		c.p.w.mayDestroy(id)
		err := c.f.Destroy(ctx, id)
		delete(c.p.w.dirty, id)
		return err
	})
}

func (c *simProvider) List(ctx context.Context) ([]compute.Instance, error) {
	c.p.w.sched.yield(c.p, "list")
	return c.f.List(ctx)
}

func (c *simProvider) Connect(ctx context.Context, id compute.ID) (conn compute.Conn, err error) {
	err = c.call(ctx, "connect", id, func() error {
		conn, err = c.f.Connect(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (c *simProvider) Stop(ctx context.Context, id compute.ID, grace time.Duration) error {
	return c.call(ctx, "stop", id, func() error { return c.f.Stop(ctx, id, grace) })
}

func (c *simProvider) Start(ctx context.Context, id compute.ID) error {
	return c.call(ctx, "start", id, func() error { return c.f.Start(ctx, id) })
}

func (c simCleaner) Clean(ctx context.Context, id compute.ID) (what string, err error) {
	err = c.call(ctx, "clean", id, func() error {
		c.p.w.mayClean(id)
		if what, err = c.f.Clean(ctx, id); err == nil && !c.p.w.bend.noClean {
			delete(c.p.w.dirty, id)
		}
		return err
	})
	return what, err
}

func (c simChecker) Check(ctx context.Context, id compute.ID) error {
	sp, _ := c.Provider.(*simProvider)
	if cl, ok := c.Provider.(simCleaner); ok {
		sp = cl.simProvider
	}
	return sp.call(ctx, "check", id, func() error { return sp.f.Check(ctx, id) })
}

func (c simFixed) source() *simSource {
	switch p := c.Provider.(type) {
	case *simProvider:
		return p.s
	case simCleaner:
		return p.s
	case simChecker:
		return simFixed(p).source()
	}
	return nil
}

func (c simFixed) Names() []string { return c.source().names }
func (c simFixed) AsIs() bool      { return c.source().asIs }

func (c simFixed) Lookup(compute.ID) (i compute.Instance, ok bool) { return i, false }

// hook is the engine's Hooks: two of each kind, which may fail, take time, and use the instance by
// their token.
func (p *process) hook(ctx context.Context, call pool.HookCall) error {
	w := p.w
	for n := call.Resume + 1; n <= 2; n++ {
		w.sched.yield(p, fmt.Sprintf("hook %s %d of %s", call.Event, n, call.Instance.ID))
		if err := ctx.Err(); err != nil {
			return err
		}
		if w.chance(w.Weather.Slow) {
			w.sleep(p, w.upTo(2*time.Second))
		}
		leaf := w.leafSource(call.Source)
		if leaf != nil && w.trouble(leaf, "hook") {
			return errWeather
		}
		if w.chance(0.3) {
			_, err := p.pool.Authorize(ctx, compute.Who{Owner: "hook", Lease: call.Lease}, call.Instance.ID)
			_, over := w.ended[call.Lease]
			if err != nil && !over && ctx.Err() == nil && !strings.Contains(err.Error(), "the lease has ended") {
				w.sched.fail("the token of hook %s for %s lets nobody in: %v", call.Event, call.Instance.ID, err)
			}
		}
		if err := call.Done(n, fmt.Sprintf("%d-x", n)); err != nil {
			return err
		}
	}
	return nil
}

// leafSource is a leaf whose weather a source's hooks have.
func (w *world) leafSource(name string) *simSource {
	s := w.source(name)
	for s != nil && len(s.Children) > 0 {
		s = w.source(s.Children[0])
	}
	return s
}
