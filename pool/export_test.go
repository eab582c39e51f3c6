package pool

import (
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// Hold is how long leases last, of which some ended after so long and others have lasted so long.
func Hold(ended, living []time.Duration) time.Duration {
	now := time.Now()
	t := &tempo{out: map[compute.ID]int64{}}
	for _, d := range ended {
		t.ended(d)
	}
	for n, d := range living {
		t.began(compute.ID(fmt.Sprint(n)), now.Add(-d))
	}
	return t.hold(now)
}

// PaceReads has the pace learnt, and returns how many events were read for that.
func (p *Pool) PaceReads(ctx context.Context) (n int) {
	st := p.store
	defer func() { p.store = st }()
	p.store = counting{st, &n}
	p.learnPace(ctx)
	return n
}

// PaceHold is how long leases of a source last, as far as is known.
func (p *Pool) PaceHold(source string) time.Duration {
	return p.hall.pace.of(source).hold(time.Now())
}

// Waits tells whether somebody of this process waits for a request in the queue.
func (d *Desk) Waits(id int64) bool { return d.has(seatKey(id)) }

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

func (c countingTx) Events(q compute.EventQuery) ([]*compute.Event, error) {
	es, err := c.Tx.Events(q)
	*c.n += len(es)
	return es, err
}
