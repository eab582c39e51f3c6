package pool

import (
	"context"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// HandOver moves the requests that wait in p to next, each in its place in the queue. next is an
// engine by another configuration, on the same handle of the store. A request for a source that
// next lacks or cannot use gets an error. What p is at goes on, and wakes those in next.
func (p *Pool) HandOver(next *Pool) {
	h := &p.queue.waiters
	p.core.mu.Lock()
	p.core.next, p.queue.next = next.core, next.queue
	p.core.mu.Unlock()
	h.mu.Lock()
	for st := range h.all {
		st.notify()
	}
	h.mu.Unlock()
	next.Wake()
}

// successor is of the engine that took over the waiting requests; nil: there is none.
func (p *core) successor() *core {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// successor is the queue of the engine that took over; nil: there is none.
func (p *queue) successor() *queue {
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	return p.next
}

// takeOver goes on with a request that waited in another engine.
func (p *queue) takeOver(ctx context.Context, req compute.Request, w *compute.Waiter, start time.Time) ([]compute.Lease, error) {
	s, err := p.core.find(req.Source)
	if err != nil {
		return nil, err
	}
	if req.Still != nil {
		if err := req.Still(); err != nil {
			return nil, err
		}
	}
	if most := s.LongestTTL(); most > 0 && (req.TTL <= 0 || req.TTL > most) {
		req.TTL = most // the limit of the new configuration
	}
	if err := p.templates.prepare(ctx, s); err != nil {
		return nil, err
	}
	if err := p.records.checkPrice(ctx, s, req); err != nil {
		return nil, err
	}
	if err := p.records.fits(s, req); err != nil {
		return nil, err
	}
	wants, err := p.records.wants(ctx, s, req)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(wants, w.Wants) {
		err := p.core.store.Update(ctx, func(tx store.Tx) error {
			ws, err := tx.Waiters()
			// else its next look finds it
			if n := slices.IndexFunc(ws, func(o *compute.Waiter) bool { return o.ID == w.ID }); err == nil && n >= 0 {
				ws[n].Wants = wants
				err = tx.SaveWaiter(ws[n])
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		w.Wants = wants
	}
	return p.wait(ctx, s, req, w, nil, start)
}

// wants returns the record keys of all sources that could serve a request for a source.
func (p *records) wants(ctx context.Context, s *Source, req compute.Request) (keys []int64, err error) {
	barred, err := p.barredSources(s, req)
	if err != nil {
		return nil, err
	}
	for _, c := range s.All() {
		if !p.view(nil).Affords(c, req.MaxPrice) || barred[c.Name] {
			continue
		}
		rec, _, err := p.providers.record(ctx, c)
		if err != nil {
			return nil, err
		}
		keys = append(keys, rec.Key)
	}
	return keys, nil
}
