package state

import (
	"context"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// RequestKey is a queued request's key in Inflight.
func RequestKey(id int64) string { return fmt.Sprintf("request %d", id) }

// Join puts a request into the queue. If the store fails it may be there or not: then it is a
// stale requests.
func (p *Core) Join(ctx context.Context, w *inventory.Waiter) error {
	var taken []string
	err := p.Store.Update(store.Growing(ctx), func(tx store.Tx) error {
		p.Inflight.Leave(taken...)
		taken = nil
		if err := tx.Join(w); err != nil {
			return err
		}
		taken = []string{RequestKey(w.ID)}
		p.Inflight.Take(taken...)
		return nil
	})
	if err != nil {
		p.Inflight.Leave(taken...)
		p.markStaleRequests()
	}
	return err
}

// Leave takes a request out of the queue. If the store cannot, it is a stale request.
func (p *Core) Leave(ctx context.Context, id int64) error {
	if id == 0 {
		return nil // it is not in there
	}
	p.Inflight.Leave(RequestKey(id))
	err := p.Store.Update(ctx, func(tx store.Tx) error { return tx.Leave(id) })
	if err != nil {
		p.markStaleRequests()
	}
	return err
}

// markStaleRequests notes that there may be stale requests: those of this process in the queue
// that nothing waits for. They would block all others as long as the process lives, so they are
// removed before the next operation.
func (p *Core) markStaleRequests() {
	p.Mu.Lock()
	p.staleRequests = true
	p.Mu.Unlock()
}

// RemoveStaleRequests takes stale requests out of the queue.
func (p *Core) RemoveStaleRequests(ctx context.Context) error {
	p.Mu.Lock()
	haunted := p.staleRequests
	p.staleRequests = false
	p.Mu.Unlock()
	if !haunted {
		return nil
	}
	err := p.Store.Update(ctx, func(tx store.Tx) error {
		ws, err := tx.Waiters()
		if err != nil {
			return err
		}
		for _, w := range ws {
			if w.Worker == p.Store.Worker() && !p.Waits(w) {
				if err := tx.Leave(w.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		p.markStaleRequests()
	}
	p.Wake()
	return err
}

// Waits reports whether a goroutine or process still waits for a request in the queue.
func (p *Core) Waits(w *inventory.Waiter) bool { return p.AtWork(w.Worker, RequestKey(w.ID)) }

// Version returns the store's version, or 0 when it cannot be read: the next transaction will fail.
func (p *Core) Version(ctx context.Context) int64 {
	v, err := p.Store.Version(ctx)
	if err != nil {
		return 0
	}
	return v
}

// Moving reports whether instances of a source are being cleaned or discarded, so that there will
// be room without a release.
func (p *Core) Moving(ctx context.Context, s *allocate.Source) bool {
	moving := false
	err := p.Store.View(ctx, func(tx store.Tx) error {
		moving = false
		for _, c := range s.All() {
			is, err := tx.Instances(inventory.InstanceQuery{
				SourceKey: p.KeyOf(c), States: []compute.State{compute.Cleaning, compute.Discarding},
			})
			if err != nil {
				return err
			}
			for _, i := range is {
				moving = moving || i.Attempts == 0
			}
		}
		return nil
	})
	return err == nil && moving
}

// LearnThroughput reads the new events of the journal.
func (p *Core) LearnThroughput(ctx context.Context) {
	q := p.Throughput.Query()
	var events []*compute.Event
	err := p.Store.View(ctx, func(tx store.Tx) (err error) {
		events, err = tx.Events(q)
		return err
	})
	if err == nil {
		p.Throughput.Read(events)
	}
}

// Successor is of the engine that took over the waiting requests; nil: there is none.
func (p *Core) Successor() *Core {
	p.Mu.Lock()
	defer p.Mu.Unlock()
	return p.next
}
