package pool

import (
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// surroundings tells decisions what the engine knows beside the store.
type surroundings struct{ p *Pool }

// view returns what a decision in a transaction goes by. tx may be nil where nothing is read.
func (p *Pool) view(tx store.Tx) *allocate.View {
	return &allocate.View{
		Reader: tx, Surroundings: surroundings{p}, Now: time.Now(), ByName: p.sources, Ordered: p.ordered, Worker: p.store.Worker(),
		Host: p.opt.Host, NewID: p.opt.NewID, Quotas: p.opt.Projects != nil,
	}
}

func (o surroundings) KeyOf(s *Source) int64 { return o.p.keyOf(s) }

func (o surroundings) Provider(key int64) *allocate.Provider {
	is := o.p.ready(key)
	if is == nil {
		return nil
	}
	return &allocate.Provider{Failed: is.err != nil, Names: is.names, Prices: is.prices, Standing: is.standing, Witness: is.witness}
}

func (o surroundings) MadeLast(key int64) (compute.Amount, bool) { return o.p.learnt(key) }

func (o surroundings) Newest(s *Source) (allocate.Make, bool) {
	m, ok := o.p.newer(s)
	return allocate.Make{Template: m.Template, First: m.First}, ok
}

func (o surroundings) Project(name string) Project { return o.p.project(name) }

func (o surroundings) Waits(w *compute.Waiter) bool { return o.p.waits(w) }

func (o surroundings) Durations(source string, now time.Time) (lease, making time.Duration) {
	return o.p.waiters.throughput.Durations(source, now)
}
