package pool

import (
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/lifecycle"
	"github.com/hostler-project/hostler/pool/queue"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
)

// What the engine is made of, and what it tells: its parts declare these.
type (
	Source           = allocate.Source
	Project          = allocate.Project
	Options          = state.Options
	Store            = state.Store
	HookCall         = state.HookCall
	Record           = state.Record
	Inflight         = state.Inflight
	Sample           = state.Sample
	ReconcileOptions = state.ReconcileOptions
	Promotion        = sources.Promotion
	Promoted         = sources.Promoted
)

// RecordedPromotions returns all promotions in a store, by source, also those that no longer count
// since their source was changed.
func RecordedPromotions(ctx context.Context, s Store) (map[string]Promotion, error) {
	return sources.RecordedPromotions(ctx, s)
}

// New makes an engine. It does not fail for a source with an error: each use of that source does. A
// pool finds its children by name. A missing one, or a circle, makes the pool broken.
func New(opt Options) (*Pool, error) {
	c, err := state.NewCore(opt)
	if err != nil {
		return nil, err
	}
	return assemble(c), nil
}

// Pool is the engine. It implements compute.Leaser.
type Pool struct {
	core       *state.Core
	clock      *state.Clock
	providers  *sources.Providers
	templates  *sources.Templates
	records    *leasing.Records
	leases     *leasing.Leases
	creation   *lifecycle.Creation
	disposal   *lifecycle.Disposal
	handouts   *lifecycle.Handouts
	health     *lifecycle.Health
	ahead      *lifecycle.Ahead
	rollouts   *lifecycle.Rollouts
	background *lifecycle.Background
	queue      *queue.Queue
}

var _ compute.Leaser = (*Pool)(nil)

// assemble joins the parts of an engine.
func assemble(c *state.Core) *Pool {
	p := &Pool{core: c, clock: state.NewClock(c), providers: sources.NewProviders(c)}
	p.templates = sources.NewTemplates(c, p.providers)
	p.records = leasing.NewRecords(c, p.providers, p.templates)
	p.leases = leasing.NewLeases(c, p.clock, p.records)
	p.creation = lifecycle.NewCreation(c, p.providers, p.templates, p.records, p.leases)
	p.disposal = lifecycle.NewDisposal(c, p.clock, p.providers, p.templates, p.records, p.leases, p.creation)
	p.handouts = lifecycle.NewHandouts(c, p.providers, p.records, p.creation, p.disposal)
	p.health = lifecycle.NewHealth(c, p.providers, p.records, p.disposal)
	p.ahead = lifecycle.NewAhead(c, p.providers, p.records)
	p.rollouts = lifecycle.NewRollouts(c, p.templates, p.records, p.disposal, p.handouts)
	p.background = lifecycle.NewBackground(
		c, p.clock, p.providers, p.templates, p.records, p.creation, p.disposal, p.handouts, p.health, p.rollouts,
	)
	p.queue = queue.NewQueue(c, p.templates, p.records, p.handouts, p.background)
	return p
}

// Wake has all waiting requests look again: something may have come free, also by another handle of
// the store.
func (p *Pool) Wake() { p.core.Wake() }

// HandOver moves the requests that wait in p to next, each in its place in the queue. next is an
// engine by another configuration, on the same handle of the store. A request for a source that
// next lacks or cannot use gets an error. What p is at goes on, and wakes those in next.
func (p *Pool) HandOver(next *Pool) {
	p.core.HandOver(next.core)
	p.queue.HandOver(next.queue)
	next.Wake()
}
