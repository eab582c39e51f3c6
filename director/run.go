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

	"github.com/hostler-project/hostler/compute"
)

// Pool is what a director works on. A pool.Pool is one.
type Pool interface {
	// Snapshot copies the sources as they stand, with the ready instances of those for which idlers
	// says yes.
	Snapshot(ctx context.Context, idlers func(compute.SourceState) bool) (compute.Snapshot, error)
	// Do records a directive and its reason, and returns what is left to do, which is then called
	// once; nil: nothing is left.
	Do(ctx context.Context, d compute.Directive) (finish func(context.Context) error, err error)
}

// Options join a director to its surroundings.
type Options struct {
	Pool     Pool
	Policies map[string]Policy // by source; one that is not in it has the strategy Reserve
	Limits   Limits
	Tick     time.Duration // between two looks where no bell rings; 0: 10 s
	// a look is due now; of size 1, so that who rings never waits; nil: there is none
	Bell <-chan struct{}
	// tells whether it is to look and decide now, as of several on a store one does; nil: it is
	Leads  func() bool
	DryRun bool // say what would be done, and do nothing
	// is called with each round's plans, also a dry run's; nil: not. It must not keep the director
	// waiting
	Told func([]Plan)
	Log  *slog.Logger // nil: none
}

const (
	usualTick = 10 * time.Second
	// shortest is the least time between two looks, however often the bell rings.
	shortest = 100 * time.Millisecond
)

// Director keeps sources at what is wanted of them. Only one is to run on a store at a time: more
// would do no harm, and the same work twice.
type Director struct {
	done chan struct{} // a directive has been carried out

	mu     sync.Mutex
	opt    Options
	plans  []Plan
	looked time.Time
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
	return &Director{opt: opt, done: make(chan struct{}, 1)}, nil
}

// Change has the director go on, from its next look on, with another configuration and the pool by
// that; what is under way is carried out. Bell, Told, Leads and Log stay what they were.
func (d *Director) Change(opt Options) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opt.Pool, d.opt.Policies, d.opt.Limits, d.opt.Tick, d.opt.DryRun = opt.Pool, maps.Clone(opt.Policies), opt.Limits, opt.Tick, opt.DryRun
}

// options are those of now.
func (d *Director) options() Options {
	d.mu.Lock()
	defer d.mu.Unlock()
	opt := d.opt
	opt.Tick = cmp.Or(opt.Tick, usualTick)
	return opt
}

// Last returns the plans of the last look, and when that was; zero: there was none.
func (d *Director) Last() ([]Plan, time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.plans), d.looked
}

// Plan looks and decides, and does nothing.
func (d *Director) Plan(ctx context.Context) ([]Plan, error) { return d.plan(ctx, d.options()) }

func (d *Director) plan(ctx context.Context, opt Options) ([]Plan, error) {
	now := time.Now()
	snap, err := opt.Pool.Snapshot(ctx, func(s compute.SourceState) bool { return Surplus(opt.Policies[s.Name], now, s) })
	if err != nil {
		return nil, err
	}
	plans := Decide(opt.Policies, opt.Limits, snap)
	d.mu.Lock()
	d.plans, d.looked = plans, snap.Time
	d.mu.Unlock()
	if opt.Told != nil {
		opt.Told(plans)
	}
	return plans, nil
}

// Run looks, decides and has it done, at each tick and bell, until ctx ends; then it waits for what
// is under way to be put down. What goes wrong is logged, and repaired by the next look. It returns
// nil.
func (d *Director) Run(ctx context.Context) error {
	var under sync.WaitGroup
	defer under.Wait()
	tick := time.NewTimer(0)
	defer tick.Stop()
	bell := d.options().Bell
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-bell:
		case <-d.done:
		}
		if ctx.Err() != nil {
			return nil
		}
		d.round(ctx, &under)
		// a bell that rings all the time is one look after the other, and not all that the machine
		// does
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(shortest):
		}
		tick.Reset(d.options().Tick)
	}
}

// round looks once. Directives are recorded one after the other and carried out beside each other,
// as many as Limits let the plans have.
func (d *Director) round(ctx context.Context, under *sync.WaitGroup) {
	opt := d.options()
	if opt.Leads != nil && !opt.Leads() {
		return
	}
	plans, err := d.plan(ctx, opt)
	if err != nil {
		if ctx.Err() == nil {
			opt.Log.Warn("the director cannot look", "err", err)
		}
		return
	}
	for _, plan := range plans {
		for _, what := range plan.Directives {
			log := opt.Log.With(
				"source", what.Source, "do", what.Verb, "instance", what.Instance, "count", what.Count, "reason",
				what.Reason,
			)
			if opt.DryRun || plan.DryRun {
				log.Info("would be done")
				continue
			}
			if opt.Leads != nil && !opt.Leads() {
				return // another decides now, by what is now
			}
			finish, err := opt.Pool.Do(ctx, what)
			if err != nil {
				log.Warn("a directive cannot be begun", "err", err)
				continue
			}
			if finish == nil {
				continue
			}
			log.Info("directive")
			under.Go(func() {
				start := time.Now()
				if err := finish(ctx); err != nil && ctx.Err() == nil {
					log.Warn("a directive failed", "err", err, "took", time.Since(start))
				}
				select { // there may be room for more now
				case d.done <- struct{}{}:
				default:
				}
			})
		}
	}
}
