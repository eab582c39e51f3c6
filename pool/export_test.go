package pool

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

// PaceReads has the pace learnt, and returns how many events were read for that.
func (p *Pool) PaceReads(ctx context.Context) (n int) {
	st := p.core.Store
	defer func() { p.core.Store = st }()
	p.core.Store = counting{st, &n}
	p.core.LearnThroughput(ctx)
	return n
}

// PaceHold is how long leases of a source last, as far as is known.
func (p *Pool) PaceHold(source string) time.Duration {
	lease, _ := p.core.Throughput.Durations(source, time.Now())
	return lease
}

type counting struct {
	Store
	n *int
}

func (c counting) View(ctx context.Context, fn func(store.Tx) error) error {
	return c.Store.View(ctx, func(tx store.Tx) error { return fn(countingTx{tx, c.n}) })
}

type countingTx struct {
	store.Tx
	n *int
}

func (c countingTx) Events(q inventory.EventQuery) ([]*compute.Event, error) {
	es, err := c.Tx.Events(q)
	*c.n += len(es)
	return es, err
}
