package state

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
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

// SourceWorkers are the work in the background, a queue of work for each source, so that a
// provider that hangs holds up no other.
type SourceWorkers struct {
	Mu sync.Mutex
	Of map[int64]*SourceWorker // by the key of the source that has the real computer
	// sources whose provider is being asked for its list. The negative of a key: being asked what
	// has become of its computers.
	Stocks map[int64]bool

	Overseen map[int64]time.Time // when sources' providers were last asked about their computers
	News     map[int64]bool      // those that have news since then
	// Done of the ReconcileOptions that works the queues of work in the background; nil: none yet
	Done func()
}

// SourceWorker is the work of one source.
type SourceWorker struct {
	Waiting []WorkItem // for their turn
	Has     map[compute.ID]bool
	Workers int // at work
	aside   int // how many workers only wait for the end of what they have asked for
}

const (
	asideMost  = 64              // at most in a queue of work, as each of them asks now and then
	YieldAfter = 2 * time.Second // how long a worker waits before it lets another begin
)

// yieldKey is the context's key of what YieldWorker calls.
type yieldKey struct{}

// YieldWorker says that the work of a context only waits for now, such as for the end of a pod on a
// node that does not answer. If it is in a queue of work, it no longer holds up the work behind it.
func YieldWorker(ctx context.Context) {
	if step, ok := ctx.Value(yieldKey{}).(func()); ok {
		step()
	}
}

// WorkItem is an instance that waits for work, and how the engine that found it does that. An
// engine by another configuration may do it otherwise.
type WorkItem struct {
	ID   compute.ID
	Work func(ctx context.Context, id compute.ID) (did bool, err error)
	Wake func() // requests that wait
}

// WorkAlong does an item of work, and then those that wait in the queue of work, until none does
// or ctx ends.
func (l *SourceWorkers) WorkAlong(ctx context.Context, key int64, one *SourceWorker, e WorkItem, with ReconcileOptions) {
	news, aside := false, false
	working := context.WithValue(ctx, yieldKey{}, func() { l.yield(ctx, key, one, &aside, with) })
	for more := true; more; e, more = l.next(ctx, key, one, e, &aside) {
		if ctx.Err() != nil {
			continue
		}
		did, err := e.Work(working, e.ID)
		if err != nil && ctx.Err() == nil {
			with.Failed(fmt.Errorf("%s: %w", e.ID, err))
		}
		news = news || did && err == nil
		e.Wake()
	}
	if news { // else another look would find the same
		with.Done()
	}
}

// yield stops counting a worker as at work, unless too many have stepped aside, and begins the
// item of work that waits longest in its place. aside, guarded by mu, says whether it has done
// so. A pool's instance may have several behind it that end.
func (l *SourceWorkers) yield(ctx context.Context, key int64, one *SourceWorker, aside *bool, with ReconcileOptions) {
	l.Mu.Lock()
	defer l.Mu.Unlock()
	if *aside || one.aside == asideMost {
		return
	}
	*aside = true
	one.aside++
	if len(one.Waiting) == 0 || ctx.Err() != nil {
		one.Workers--
		return
	}
	e := one.Waiting[0]
	one.Waiting = one.Waiting[1:]
	with.Go(func() { l.WorkAlong(ctx, key, one, e, with) })
}

// next returns the item of work that waits longest, after one is done. more is false if none is
// left, or none is to be begun, as another took the place of a worker that had stepped aside.
func (l *SourceWorkers) next(ctx context.Context, key int64, one *SourceWorker, done WorkItem, aside *bool) (e WorkItem, more bool) {
	l.Mu.Lock()
	defer l.Mu.Unlock()
	delete(one.Has, done.ID)
	if !*aside && len(one.Waiting) > 0 && ctx.Err() == nil {
		e, one.Waiting = one.Waiting[0], one.Waiting[1:]
		return e, true
	}
	if *aside {
		one.aside--
	} else {
		one.Workers--
	}
	if one.Workers+one.aside == 0 {
		delete(l.Of, key)
	}
	return e, false
}

// Heard notes that the provider of a source has news, and has it asked soon.
func (l *SourceWorkers) Heard(key int64) {
	l.Mu.Lock()
	if l.News == nil {
		l.News = map[int64]bool{}
	}
	first := !l.News[key]
	l.News[key] = true
	done := l.Done
	l.Mu.Unlock()
	if first && done != nil {
		done()
	}
}
