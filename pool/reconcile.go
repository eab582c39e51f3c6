package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// ReconcileOptions is how Reconcile begins work.
type ReconcileOptions struct {
	// Go runs a function beside its caller, which waits for it in the end, as sync.WaitGroup's does
	Go func(func())
	// Done is called when something that was begun has come to its end, so that there may be more
	// to do. It must not block
	Done func()
	// Failed is told of an error of one thing. It is recorded, and the thing is tried again. nil:
	// it is logged
	Failed func(error)
	Apart  bool // leave it to WatchHealth to ask what has become of instances
}

// sourceWorkers are the work in the background, a queue of work for each source, so that a
// provider that hangs holds up no other.
type sourceWorkers struct {
	mu sync.Mutex
	of map[int64]*sourceWorker // by the key of the source that has the real computer
	// sources whose provider is being asked for its list. The negative of a key: being asked what
	// has become of its computers.
	stocks map[int64]bool

	overseen map[int64]time.Time // when sources' providers were last asked about their computers
	news     map[int64]bool      // those that have news since then
	// Done of the ReconcileOptions that works the queues of work in the background; nil: none yet
	done func()
}

// sourceWorker is the work of one source.
type sourceWorker struct {
	waiting []workItem // for their turn
	has     map[compute.ID]bool
	workers int // at work
	aside   int // how many workers only wait for the end of what they have asked for
}

const (
	asideMost  = 64              // at most in a queue of work, as each of them asks now and then
	yieldAfter = 2 * time.Second // how long a worker waits before it lets another begin
)

// yieldKey is the context's key of what stepAside calls.
type yieldKey struct{}

// yieldWorker says that the work of a context only waits for now, such as for the end of a pod on a
// node that does not answer. If it is in a queue of work, it no longer holds up the work behind it.
func yieldWorker(ctx context.Context) {
	if step, ok := ctx.Value(yieldKey{}).(func()); ok {
		step()
	}
}

// workItem is an instance that waits for work, and the engine that found it. An engine by another
// configuration may do it otherwise.
type workItem struct {
	p  *disposal
	id compute.ID
}

// Reconcile begins all work that is due, each source's by itself, and returns when there will be
// more; zero: none is known. It waits for no provider. Its work ends with ctx. It is for a
// process that lives on and calls it again when Done is called; Work does the same and waits for
// the end. Engines that share an Inflight begin nothing twice.
func (p *Pool) Reconcile(ctx context.Context, with ReconcileOptions) (next time.Time, err error) {
	l := &p.core.inflight.workers
	if !with.Apart {
		l.mu.Lock()
		l.done = with.Done
		l.mu.Unlock()
	}
	return p.background.reconcile(ctx, l, with, nil)
}

// workRounds is how often Work looks for more work that its own work has caused: the end of a
// pool's instance causes some for its child's, and so on.
const workRounds = 8

// RunDue does all work that is due for the named sources, or for all: leases that are over, what
// dead processes left half-done, cleaning, discarding, surplus. It returns when there will be
// more to do; zero: none is known.
func (p *Pool) RunDue(ctx context.Context, names ...string) (next time.Time, err error) {
	return p.background.runDue(ctx, names...)
}

// runDue is RunDue.
func (p *background) runDue(ctx context.Context, names ...string) (next time.Time, err error) {
	keys, err := p.keysOf(ctx, names)
	if err != nil {
		return time.Time{}, err
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	more := false
	with := ReconcileOptions{
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
	own := &sourceWorkers{} // what is on its way in the background may have a long one before it
	for n := 0; n == 0 || more && n < workRounds; n++ {
		more = false
		next, err = p.reconcile(ctx, own, with, keys)
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
		next, errs = sooner(next, at), append(errs, err)
	}
	return next, errors.Join(errs...)
}

// keysOf returns the record keys of the named sources and of all below them; nil: no names, and so
// all.
func (p *background) keysOf(ctx context.Context, names []string) (keys []int64, err error) {
	for _, name := range names {
		s, err := p.core.find(name)
		if err != nil {
			return nil, err
		}
		for _, c := range s.All() {
			rec, _, err := p.providers.record(ctx, c)
			if err != nil {
				return nil, err
			}
			keys = append(keys, rec.Key)
		}
	}
	return keys, nil
}

// reconcile begins what is due for some sources, or with nil for all, in queues of work that no
// other context has begun.
func (p *background) reconcile(ctx context.Context, l *sourceWorkers, with ReconcileOptions, keys []int64) (next time.Time, err error) {
	if with.Failed == nil {
		with.Failed = func(err error) { p.core.log.Warn("what is due", "err", err) }
	}
	if _, err := p.expire(ctx, time.Now()); err != nil {
		return time.Time{}, err
	}
	var errs []error
	if keys == nil {
		if err := p.core.learnKeys(ctx); err != nil {
			return time.Time{}, err
		}
		errs = append(errs, p.tidy(ctx, func(rec *store.SourceRecord) { p.stock(ctx, l, rec, with) }))
		if !with.Apart {
			at, err := p.health.overseeAll(ctx, l, with, nil)
			next, errs = at, append(errs, err)
		}
		keys = []int64{0}
	}
	for _, key := range keys {
		is, at, err := p.due(ctx, key)
		if err == nil {
			err = p.assign(ctx, l, is, with)
		}
		next, errs = sooner(next, at), append(errs, err)
	}
	soonest, err := p.clock.soonest(ctx)
	return sooner(next, soonest), errors.Join(append(errs, err)...)
}

// stock compares a provider's list with the records, unless that is under way.
func (p *background) stock(ctx context.Context, l *sourceWorkers, rec *store.SourceRecord, with ReconcileOptions) {
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
		lost := false
		if err == nil {
			lost, err = p.health.absent(ctx, rec)
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case p.past(rec):
			p.core.log.Debug("a definition of a source that counts no more, and has nothing, cannot be listed",
				"source", rec.Name, "err", err)
		default:
			with.Failed(err)
		}
		l.mu.Lock()
		delete(l.stocks, rec.Key)
		l.mu.Unlock()
		if lost {
			p.core.wake()
		}
		if lost || len(stray) > 0 {
			with.Done()
		}
	})
}

// past reports whether a record is of a definition that counts no more and has no instances: its
// errors need no attention.
func (p *background) past(rec *store.SourceRecord) bool {
	s := p.core.sources[rec.Name]
	return rec.Counts.Present() == 0 && (s == nil || p.core.keyOf(s) != rec.Key)
}

// assign puts instances that wait for work into the queues of work of the sources that have
// their computers.
func (p *background) assign(ctx context.Context, l *sourceWorkers, is []*compute.Instance, with ReconcileOptions) error {
	keys := make(map[compute.ID]int64, len(is))
	inFront := false
	for _, i := range is {
		keys[i.ID] = i.SourceKey
		inFront = inFront || i.Child != ""
	}
	if inFront { // the work is done at the instance behind it
		err := p.core.store.View(ctx, func(tx store.Tx) error {
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
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[int64]*sourceWorker{}
	}
	for _, i := range is {
		key := keys[i.ID]
		one := l.of[key]
		if one == nil {
			one = &sourceWorker{has: map[compute.ID]bool{}}
			l.of[key] = one
		}
		if one.has[i.ID] {
			continue
		}
		one.has[i.ID] = true
		if one.workers == atOnce {
			one.waiting = append(one.waiting, workItem{p.disposal, i.ID})
			continue
		}
		one.workers++ // it takes this one; which of several comes first makes no difference
		with.Go(func() { l.workAlong(ctx, key, one, workItem{p.disposal, i.ID}, with) })
	}
	return nil
}

// workAlong does an item of work, and then those that wait in the queue of work, until none does
// or ctx ends.
func (l *sourceWorkers) workAlong(ctx context.Context, key int64, one *sourceWorker, e workItem, with ReconcileOptions) {
	news, aside := false, false
	working := context.WithValue(ctx, yieldKey{}, func() { l.yield(ctx, key, one, &aside, with) })
	for more := true; more; e, more = l.next(ctx, key, one, e, &aside) {
		if ctx.Err() != nil {
			continue
		}
		did, err := e.p.workOne(working, e.id)
		if err != nil && ctx.Err() == nil {
			with.Failed(fmt.Errorf("%s: %w", e.id, err))
		}
		news = news || did && err == nil
		e.p.core.wake()
	}
	if news { // else another look would find the same
		with.Done()
	}
}

// yield stops counting a worker as at work, unless too many have stepped aside, and begins the
// item of work that waits longest in its place. aside, guarded by mu, says whether it has done
// so. A pool's instance may have several behind it that end.
func (l *sourceWorkers) yield(ctx context.Context, key int64, one *sourceWorker, aside *bool, with ReconcileOptions) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *aside || one.aside == asideMost {
		return
	}
	*aside = true
	one.aside++
	if len(one.waiting) == 0 || ctx.Err() != nil {
		one.workers--
		return
	}
	e := one.waiting[0]
	one.waiting = one.waiting[1:]
	with.Go(func() { l.workAlong(ctx, key, one, e, with) })
}

// next returns the item of work that waits longest, after one is done. more is false if none is
// left, or none is to be begun, as another took the place of a worker that had stepped aside.
func (l *sourceWorkers) next(ctx context.Context, key int64, one *sourceWorker, done workItem, aside *bool) (e workItem, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(one.has, done.id)
	if !*aside && len(one.waiting) > 0 && ctx.Err() == nil {
		e, one.waiting = one.waiting[0], one.waiting[1:]
		return e, true
	}
	if *aside {
		one.aside--
	} else {
		one.workers--
	}
	if one.workers+one.aside == 0 {
		delete(l.of, key)
	}
	return e, false
}
