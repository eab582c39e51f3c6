package pool

import (
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// surroundings tells decisions what the engine knows beside the store.
type surroundings struct{ p *records }

// view returns what a decision in a transaction goes by. tx may be nil where nothing is read.
func (p *records) view(tx store.Tx) *allocate.View {
	return &allocate.View{
		Reader: tx, Surroundings: surroundings{p}, Now: time.Now(), ByName: p.core.sources, Ordered: p.core.ordered,
		Worker: p.core.store.Worker(),
		Host:   p.core.opt.Host, NewID: p.core.opt.NewID, Quotas: p.core.opt.Projects != nil,
	}
}

func (o surroundings) KeyOf(s *Source) int64 { return o.p.core.keyOf(s) }

func (o surroundings) Provider(key int64) *allocate.Provider {
	is := o.p.providers.ready(key)
	if is == nil {
		return nil
	}
	return &allocate.Provider{Failed: is.err != nil, Names: is.names, Prices: is.prices, Standing: is.standing, Witness: is.witness}
}

func (o surroundings) MadeLast(key int64) (compute.Amount, bool) { return o.p.providers.learnt(key) }

func (o surroundings) Newest(s *Source) (allocate.Make, bool) {
	m, ok := o.p.templates.newer(s)
	return allocate.Make{Template: m.Template, First: m.First}, ok
}

func (o surroundings) Project(name string) Project { return o.p.core.project(name) }

func (o surroundings) Waits(w *compute.Waiter) bool { return o.p.core.waits(w) }

func (o surroundings) Durations(source string, now time.Time) (lease, making time.Duration) {
	return o.p.core.throughput.Durations(source, now)
}
