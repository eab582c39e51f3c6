package director

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/director/loop"
	"github.com/hostler-project/hostler/director/plan"
)

// Pool is what a director works on. A pool.Pool is one.
type Pool interface {
	// Snapshot copies the state of the sources. It includes the ready instances of sources for
	// which idlers returns true.
	Snapshot(ctx context.Context, idlers func(plan.SourceState) bool) (plan.Snapshot, error)
	// Do records a directive and its reason. It returns the rest of the work, to be called once;
	// nil: there is none.
	Do(ctx context.Context, d plan.Directive) (finish func(context.Context) error, err error)
}

// Options join a director to its surroundings.
type Options struct {
	Pool     Pool
	Policies map[string]Policy // by source; a source without one has the strategy Reserve
	Limits   Limits
	Tick     time.Duration // between two looks where no bell rings; 0: 10 s
	// Bell asks for a round at once. Its size is 1, so that a sender never waits. It may be nil.
	Bell <-chan struct{}
	// Leads reports whether this director is to decide now: of several on a store one does. nil: it
	// is
	Leads  func() bool
	DryRun bool // decide, but do nothing
	// Told is called with each round's plans, also in a dry run. It must not block. It may be nil.
	Told func([]Plan)
	Log  *slog.Logger // nil: none
}

// usualTick is the time between two looks where none is configured.
const usualTick = 10 * time.Second

// Director keeps sources at the wanted level. Only one should run on a store at a time. More would
// do no harm, but the same work twice. Its methods may be called from several goroutines.
type Director struct {
	actor   loop.Actor
	reports loop.Reports[[]Plan]

	mu  sync.Mutex
	opt Options
}

// New makes a director. It starts nothing.
func New(opt Options) (*Director, error) {
	if opt.Pool == nil {
		return nil, errors.New("director: Pool is required")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	opt.Policies = maps.Clone(opt.Policies)
	return &Director{
		opt: opt, actor: loop.Actor{Leads: opt.Leads, Done: make(chan struct{}, 1)}, reports: loop.Reports[[]Plan]{Told: opt.Told},
	}, nil
}

// Change gives the director another configuration, and the pool by it, from its next round on.
// Directives under way are carried out. Bell, Told, Leads and Log stay what they were.
func (d *Director) Change(opt Options) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opt.Pool, d.opt.Policies, d.opt.Limits, d.opt.Tick, d.opt.DryRun = opt.Pool, maps.Clone(opt.Policies), opt.Limits, opt.Tick, opt.DryRun
}

// options returns the present options.
func (d *Director) options() Options {
	d.mu.Lock()
	defer d.mu.Unlock()
	opt := d.opt
	opt.Tick = cmp.Or(opt.Tick, usualTick)
	return opt
}

// Last returns the plans of the last round, and its time; zero: there was none.
func (d *Director) Last() ([]Plan, time.Time) {
	plans, looked := d.reports.Last()
	return slices.Clone(plans), looked
}

// Plan returns what a round would do, and does nothing.
func (d *Director) Plan(ctx context.Context) ([]Plan, error) { return d.plan(ctx, d.options()) }

// plan takes a snapshot and decides. It keeps the plans for Last and passes them to Told.
func (d *Director) plan(ctx context.Context, opt Options) ([]Plan, error) {
	now := time.Now()
	snap, err := opt.Pool.Snapshot(ctx, func(s plan.SourceState) bool { return surplusOf(opt.Policies[s.Name], now, s) })
	if err != nil {
		return nil, err
	}
	plans := Decide(opt.Policies, opt.Limits, snap)
	d.reports.Tell(plans, snap.Time)
	return plans, nil
}

// Run does a round at each tick and bell until ctx ends. Then it waits for directives under way to
// be recorded. Errors are logged, and repaired by the next round. It returns nil.
func (d *Director) Run(ctx context.Context) error {
	var under sync.WaitGroup
	defer under.Wait()
	loop.Beat{Every: func() time.Duration { return d.options().Tick }, Bell: d.options().Bell, Done: d.actor.Done}.Run(
		ctx, func(ctx context.Context) { d.round(ctx, &under) },
	)
	return nil
}

// round does one round. Directives are recorded in turn and carried out concurrently, within the
// plans' Limits.
func (d *Director) round(ctx context.Context, under *sync.WaitGroup) {
	opt := d.options()
	if !d.actor.Leads.Now() {
		return
	}
	plans, err := d.plan(ctx, opt)
	if err != nil {
		if ctx.Err() == nil {
			opt.Log.Warn("the director cannot look", "err", err)
		}
		return
	}
	var steps []loop.Step
	for _, plan := range plans {
		for _, what := range plan.Directives {
			steps = append(steps, loop.Step{
				Log: opt.Log.With(
					"source", what.Source, "do", what.Verb, "instance", what.Instance, "count", what.Count, "reason",
					what.Reason,
				),
				Dry:   opt.DryRun || plan.DryRun,
				Begin: func(ctx context.Context) (func(context.Context) error, error) { return opt.Pool.Do(ctx, what) },
			})
		}
	}
	d.actor.Act(ctx, under, steps)
}
