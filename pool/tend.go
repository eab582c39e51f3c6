package pool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Tending is what Tend begins things with.
type Tending struct {
	Go   func(func()) // runs something beside its caller, who waits for it in the end; as sync.WaitGroup's
	Done func()       // is called when something that was begun has come to its end, so that there may be more to do. It must not block
}

// lanes are what is done in the background: each source's by itself, so that one whose provider hangs holds up no other.
type lanes struct {
	mu     sync.Mutex
	of     map[int64]*lane // by the key of the source that has the real computer
	stocks map[int64]bool  // sources whose provider is being asked for its list
}

// lane is one source's.
type lane struct {
	ids     []compute.ID // that wait for their turn
	has     map[compute.ID]bool
	workers int
}

// Tend does what Work does for all sources, but waits for no provider: it begins what is due, each source's by itself, and returns when there will be more;
// zero: not as far as is known. What it began ends with ctx. It is for a process that lives on and looks again when Done is called.
func (p *Pool) Tend(ctx context.Context, with Tending) (next time.Time, err error) {
	if _, err := p.expire(ctx, time.Now()); err != nil {
		return time.Time{}, err
	}
	if err := p.known(ctx); err != nil {
		return time.Time{}, err
	}
	errs := []error{p.tidy(ctx, func(rec *compute.SourceRecord) { p.stock(ctx, rec, with) })}
	is, next, err := p.due(ctx, 0)
	if err == nil {
		err = p.assign(ctx, is, with)
	}
	soonest, e := p.soonest(ctx)
	return sooner(next, soonest), errors.Join(append(errs, err, e)...)
}

// stock compares a provider's list with the records, unless that is under way.
func (p *Pool) stock(ctx context.Context, rec *compute.SourceRecord, with Tending) {
	l := &p.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stocks[rec.Key] {
		return
	}
	if l.stocks == nil {
		l.stocks = map[int64]bool{}
	}
	l.stocks[rec.Key] = true
	with.Go(func() {
		stray, err := p.takeStock(ctx, rec)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("what its provider has could not be compared with the records", "source", rec.Name, "err", err)
		}
		l.mu.Lock()
		delete(l.stocks, rec.Key)
		l.mu.Unlock()
		if len(stray) > 0 {
			with.Done()
		}
	})
}

// assign puts instances that wait for work into the lanes of the sources that have their computers.
func (p *Pool) assign(ctx context.Context, is []*compute.Instance, with Tending) error {
	keys := make(map[compute.ID]int64, len(is))
	inFront := false
	for _, i := range is {
		keys[i.ID] = i.SourceKey
		inFront = inFront || i.Child != ""
	}
	if inFront { // the work is done at what is behind
		err := p.store.View(ctx, func(tx compute.Tx) error {
			for _, i := range is {
				chain, err := chainOf(tx, i.Child)
				if err != nil {
					return err
				}
				if len(chain) > 0 {
					keys[i.ID] = chain[len(chain)-1].SourceKey
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	l := &p.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[int64]*lane{}
	}
	for _, i := range is {
		key := keys[i.ID]
		one := l.of[key]
		if one == nil {
			one = &lane{has: map[compute.ID]bool{}}
			l.of[key] = one
		}
		if one.has[i.ID] {
			continue
		}
		one.has[i.ID] = true
		one.ids = append(one.ids, i.ID)
		if one.workers < atOnce {
			one.workers++
			with.Go(func() { p.workAlong(ctx, key, one, with) })
		}
	}
	return nil
}

// workAlong does what waits in a lane, until nothing does or ctx ends.
func (p *Pool) workAlong(ctx context.Context, key int64, one *lane, with Tending) {
	l := &p.lanes
	news := false
	for {
		l.mu.Lock()
		if len(one.ids) == 0 || ctx.Err() != nil {
			if one.workers--; one.workers == 0 {
				delete(l.of, key)
			}
			l.mu.Unlock()
			if news { // else another look would find the same
				with.Done()
			}
			return
		}
		id := one.ids[0]
		one.ids = one.ids[1:]
		l.mu.Unlock()
		did, err := p.workOne(ctx, id)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("what is due", "instance", id, "err", err) // it is recorded, and tried again
		}
		news = news || did && err == nil
		l.mu.Lock()
		delete(one.has, id)
		l.mu.Unlock()
		p.ring()
	}
}
