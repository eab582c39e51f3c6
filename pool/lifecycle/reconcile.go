package lifecycle

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/store"
)

// Background does what is due: ended leases, what dead processes left, surplus, the cache.
type Background struct {
	core      *state.Core
	clock     *state.Clock
	providers *sources.Providers
	templates *sources.Templates
	records   *leasing.Records
	creation  *Creation
	disposal  *Disposal
	handouts  *Handouts
	health    *Health
	rollouts  *Rollouts
}

func NewBackground(
	c *state.Core, cl *state.Clock, p *sources.Providers, t *sources.Templates, r *leasing.Records, cr *Creation,
	d *Disposal, h *Handouts, he *Health, ro *Rollouts,
) *Background {
	return &Background{c, cl, p, t, r, cr, d, h, he, ro}
}

// workRounds is how often Work looks for more work that its own work has caused: the end of a
// pool's instance causes some for its child's, and so on.
const workRounds = 8

// RunDue does all work that is due for the named sources, or for all, and waits for its end.
func (p *Background) RunDue(ctx context.Context, names ...string) (next time.Time, err error) {
	keys, err := p.KeysOf(ctx, names)
	if err != nil {
		return time.Time{}, err
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	more := false
	with := state.ReconcileOptions{
		Go: all.Go,
		Done: func() {
			mu.Lock()
			defer mu.Unlock()
			more = true
		},
		Failed: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		},
	}
	// what is on its way in the background may have a long one before it
	own := &state.SourceWorkers{}
	for n := 0; n == 0 || more && n < workRounds; n++ {
		more = false
		next, err = p.Reconcile(ctx, own, with, keys)
		all.Wait()
		if err != nil {
			return next, errors.Join(append(errs, err)...)
		}
	}
	if keys == nil {
		keys = []int64{0}
	}
	for _, key := range keys { // what failed is tried again at a time that is known by now
		_, at, err := p.due(ctx, key)
		next, errs = state.Sooner(next, at), append(errs, err)
	}
	return next, errors.Join(errs...)
}

// KeysOf returns the record keys of the named sources and of all below them; nil: no names, and so
// all.
func (p *Background) KeysOf(ctx context.Context, names []string) (keys []int64, err error) {
	for _, name := range names {
		s, err := p.core.Find(name)
		if err != nil {
			return nil, err
		}
		for _, c := range s.All() {
			rec, _, err := p.providers.Record(ctx, c)
			if err != nil {
				return nil, err
			}
			keys = append(keys, rec.Key)
		}
	}
	return keys, nil
}

// Reconcile begins what is due for some sources, or with nil for all, in queues of work that no
// other context has begun.
func (p *Background) Reconcile(ctx context.Context, l *state.SourceWorkers, with state.ReconcileOptions,
	keys []int64) (next time.Time, err error) {
	if with.Failed == nil {
		with.Failed = func(err error) { p.core.Log.Warn("what is due", "err", err) }
	}
	if _, err := p.expire(ctx, time.Now()); err != nil {
		return time.Time{}, err
	}
	var errs []error
	if keys == nil {
		if err := p.core.LearnKeys(ctx); err != nil {
			return time.Time{}, err
		}
		errs = append(errs, p.tidy(ctx, func(rec *store.SourceRecord) { p.stock(ctx, l, rec, with) }))
		if !with.Apart {
			at, err := p.health.OverseeAll(ctx, l, with, nil)
			next, errs = at, append(errs, err)
		}
		keys = []int64{0}
	}
	for _, key := range keys {
		is, at, err := p.due(ctx, key)
		if err == nil {
			err = p.assign(ctx, l, is, with)
		}
		next, errs = state.Sooner(next, at), append(errs, err)
	}
	soonest, err := p.clock.Soonest(ctx)
	return state.Sooner(next, soonest), errors.Join(append(errs, err)...)
}

// stock compares a provider's list with the records, unless that is under way.
func (p *Background) stock(ctx context.Context, l *state.SourceWorkers, rec *store.SourceRecord, with state.ReconcileOptions) {
	l.Mu.Lock()
	defer l.Mu.Unlock()
	if l.Stocks[rec.Key] {
		return
	}
	if l.Stocks == nil {
		l.Stocks = map[int64]bool{}
	}
	l.Stocks[rec.Key] = true
	with.Go(func() {
		stray, err := p.takeStock(ctx, rec)
		lost := false
		if err == nil {
			lost, err = p.health.absent(ctx, rec)
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case p.past(rec):
			p.core.Log.Debug("a definition of a source that counts no more, and has nothing, cannot be listed",
				"source", rec.Name, "err", err)
		default:
			with.Failed(err)
		}
		l.Mu.Lock()
		delete(l.Stocks, rec.Key)
		l.Mu.Unlock()
		if lost {
			p.core.Wake()
		}
		if lost || len(stray) > 0 {
			with.Done()
		}
	})
}

// past reports whether a record is of a definition that counts no more and has no instances: its
// errors need no attention.
func (p *Background) past(rec *store.SourceRecord) bool {
	s := p.core.Sources[rec.Name]
	return rec.Counts.Present() == 0 && (s == nil || p.core.KeyOf(s) != rec.Key)
}

// assign puts instances that wait for work into the queues of work of the sources that have
// their computers.
func (p *Background) assign(ctx context.Context, l *state.SourceWorkers, is []*compute.Instance, with state.ReconcileOptions) error {
	keys := make(map[compute.ID]int64, len(is))
	inFront := false
	for _, i := range is {
		keys[i.ID] = i.SourceKey
		inFront = inFront || i.Child != ""
	}
	if inFront { // the work is done at the instance behind it
		err := p.core.Store.View(ctx, func(tx store.Tx) error {
			for _, i := range is {
				chain, err := allocate.ChainOf(tx, i.Child)
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
	l.Mu.Lock()
	defer l.Mu.Unlock()
	if l.Of == nil {
		l.Of = map[int64]*state.SourceWorker{}
	}
	for _, i := range is {
		key := keys[i.ID]
		one := l.Of[key]
		if one == nil {
			one = &state.SourceWorker{Has: map[compute.ID]bool{}}
			l.Of[key] = one
		}
		if one.Has[i.ID] {
			continue
		}
		one.Has[i.ID] = true
		if one.Workers == atOnce {
			one.Waiting = append(one.Waiting, state.WorkItem{ID: i.ID, Work: p.disposal.workOne, Wake: p.core.Wake})
			continue
		}
		one.Workers++ // it takes this one; which of several comes first makes no difference
		with.Go(func() {
			l.WorkAlong(ctx, key, one, state.WorkItem{ID: i.ID, Work: p.disposal.workOne, Wake: p.core.Wake}, with)
		})
	}
	return nil
}
