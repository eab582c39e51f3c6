package queue

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/store"
)

// waiter is one waiting request of this process.
type waiter struct {
	source *allocate.Source
	fresh  bool // it wants newly made instances
	// it has no Wait: at each change it looks whether what it waits for is still to come
	eager bool
	wake  chan struct{} // of size 1

	// Guarded by waiters.mu.
	id    int64
	turn  bool // it may be its turn
	sure  bool // it is its turn, and what it takes was counted for those behind it
	after int  // how many had been served when it was called
	gone  bool // it is not in the queue any more
	place compute.Progress
	told  time.Time     // when place was last told
	ended chan struct{} // of its dispatcher
}

// waiters holds the waiting requests of this process. While there are any, a dispatcher looks
// what has changed, for all of them at once, and wakes those that may have their turn. So a
// release costs one look, however many wait. The zero value is empty.
type waiters struct {
	mu    sync.Mutex
	all   map[*waiter]bool
	stop  context.CancelFunc // of the dispatcher; nil: there is none
	ended chan struct{}      // closed when it has ended

	heads []queueHead // the first waiting requests at the last look

	served int // requests that had what they wanted after they waited
	// a request that was called found that one before it had not taken its instances yet
	missed bool
}

// queueHead is the first waiting request for some sources.
type queueHead struct {
	waiter *waiter
	wants  []int64
}

// WakeHeads calls the first requests for sources of which something has come free, without
// another look at the queue. It is their turn if none has come before them since, which they
// check as always. If it is not, the look that follows calls the right one.
func (p *Queue) WakeHeads(keys []int64) {
	h := &p.waiters
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range keys {
		for _, f := range h.heads {
			if h.all[f.waiter] && slices.Contains(f.wants, key) {
				f.waiter.turn, f.waiter.sure = true, false
				f.waiter.notify()
				break
			}
		}
	}
}

// newsEvery is how often at most a waiting request is told of a new position. On the way forward
// there are as many positions as requests before it.
const newsEvery = time.Second

// addWaiter makes a waiter for a request that is in the queue.
func (p *Queue) addWaiter(s *allocate.Source, id int64, req compute.Request) *waiter {
	st := &waiter{source: s, fresh: req.New, eager: req.Wait == 0, wake: make(chan struct{}, 1), id: id}
	h := &p.waiters
	h.mu.Lock()
	if h.all == nil {
		h.all = map[*waiter]bool{}
	}
	h.all[st] = true
	h.mu.Unlock()
	p.ensureDispatcher(st)
	return st
}

// ensureDispatcher starts a dispatcher for a waiter if none runs.
func (p *Queue) ensureDispatcher(st *waiter) {
	h := &p.waiters
	h.mu.Lock()
	begin := h.stop == nil
	if !begin {
		select {
		case <-h.ended: // another dispatcher was to end
			begin = true
			h.stop()
		default:
		}
	}
	var ctx context.Context
	if begin {
		ctx, h.stop = context.WithCancel(context.Background())
		h.ended = make(chan struct{})
	}
	st.ended = h.ended
	ended := h.ended
	h.mu.Unlock()
	if begin { // it ends when no request waits any more
		go func() {
			defer close(ended)
			p.dispatch(ctx)
		}()
	} else {
		p.core.Wake()
	}
}

// removeWaiter removes a waiter.
func (p *Queue) removeWaiter(st *waiter) {
	h := &p.waiters
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, st)
	if len(h.all) == 0 && h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// rejoined gives a waiter the new id of a request that joined the queue anew.
func (p *Queue) rejoined(st *waiter, id int64) {
	p.waiters.mu.Lock()
	st.id, st.gone, st.turn, st.place = id, false, false, compute.Progress{}
	p.waiters.mu.Unlock()
	p.core.Wake()
}

// wakeReason returns why a request was woken.
func (st *waiter) wakeReason(h *waiters) (turn, gone bool, place compute.Progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	turn, gone, place = st.turn, st.gone, st.place
	st.turn = false
	return turn, gone, place
}

// served has the requests behind a served one looked at again. It does so only where it could not
// be said before what would be left for them, or where one of them was quicker and looked before
// this one took its own.
func (p *Queue) served(st *waiter) {
	h := &p.waiters
	h.mu.Lock()
	h.served++
	again := !st.sure || h.missed
	h.missed = false
	h.mu.Unlock()
	if again {
		p.core.Wake()
	}
}

// missed notes that a request was called and has to wait again.
func (p *Queue) missed(st *waiter) {
	h := &p.waiters
	h.mu.Lock()
	again := st.sure && h.served != st.after // by now those before it have their instances
	h.missed = h.missed || st.sure && !again
	st.sure = false
	h.mu.Unlock()
	if again {
		p.core.Wake()
	}
}

func (st *waiter) notify() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// dispatch serves the requests that wait in this process until ctx ends.
func (p *Queue) dispatch(ctx context.Context) {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	done := make(chan time.Time, 1)
	stirred := time.Now() // when something happened last
	worked, working := stirred, false
	var next time.Time // when more will be due, as far as that is known
	var all sync.WaitGroup
	defer all.Wait()
	own := &state.SourceWorkers{} // their work ends with ctx
	isDue := func() bool {
		since := time.Since(worked)
		return since >= unhurried(time.Since(stirred), chores, choresMost) || since >= chores && !next.IsZero() && !next.After(time.Now())
	}
	for ctx.Err() == nil {
		rung, seen := p.core.Woken(), p.core.Version(ctx)
		due := isDue()
		if p.wakeReady(ctx, due) { // the instances that make room are to go now
			due = true
		}
		if due {
			worked = time.Now()
			// what is due may take long, and no request that can be served meanwhile is to wait for
			// it
			if !working {
				working = true
				all.Go(func() { done <- p.reconcileWaiting(ctx, own, all.Go) })
			}
		}
		for idle := true; idle; {
			timer.Reset(unhurried(time.Since(stirred), tick, tickMost))
			ended, ring := false, false
			select {
			case <-ctx.Done():
				return
			case <-rung:
			case next = <-done: // it has rung for what it changed
				ended = true
			case <-timer.C:
			}
			// select takes any of several reasons. All that there are count, so that a simulation
			// replays.
			select {
			case next = <-done:
				ended = true
			default:
			}
			select {
			case <-rung:
				ring = true
			default:
			}
			working = working && !ended
			if ring || p.core.Version(ctx) != seen {
				stirred, idle = time.Now(), false
			}
			idle = idle && !isDue()
		}
	}
}

// reconcileWaiting begins work that is due for the sources of waiting requests, and returns when
// there will be more; zero: none is known.
func (p *Queue) reconcileWaiting(ctx context.Context, l *state.SourceWorkers, run func(func())) (next time.Time) {
	names := map[string]bool{}
	p.waiters.mu.Lock()
	for st := range p.waiters.all {
		names[st.source.Name] = true
	}
	p.waiters.mu.Unlock()
	if len(names) == 0 {
		return next
	}
	keys, err := p.background.KeysOf(ctx, slices.Sorted(maps.Keys(names)))
	if err == nil {
		next, err = p.background.Reconcile(ctx, l, state.ReconcileOptions{Go: run, Done: p.core.Wake}, keys)
	}
	if err != nil && ctx.Err() == nil {
		p.core.Log.Warn("what was due could not be done", "sources", slices.Sorted(maps.Keys(names)), "err", err)
	}
	return next
}

// wakeReady wakes requests that seem to have their turn, and tells the others their positions. The
// woken requests decide whether it is their turn. gone says that ready instances are discarded to
// make room.
func (p *Queue) wakeReady(ctx context.Context, due bool) (gone bool) {
	h := &p.waiters
	h.mu.Lock()
	seats := make(map[int64]*waiter, len(h.all))
	for st := range h.all {
		seats[st.id] = st
	}
	h.mu.Unlock()
	if due || !p.core.Throughput.Known() {
		p.core.LearnThroughput(ctx)
	}
	var all []allocate.Position
	err := p.core.Store.View(ctx, func(tx store.Tx) (err error) {
		all, err = allocate.Survey(p.records.View(tx), func(id int64) (is, fresh bool) {
			st := seats[id]
			return st != nil, st != nil && st.fresh
		})
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			p.core.Log.Warn("the queue could not be looked at", "err", err)
		}
		return false
	}
	if slices.ContainsFunc(all, func(f allocate.Position) bool { return seats[f.ID] != nil && f.Demand != demand.Demand{} }) {
		if gone, err = p.records.MakeWay(ctx); err != nil && ctx.Err() == nil {
			p.core.Log.Warn("no room could be made", "err", err)
		}
	}
	now := time.Now()
	seen := map[int64]bool{}
	first := map[*allocate.Source]bool{}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heads = nil
	for _, f := range all {
		st := seats[f.ID]
		seen[f.ID] = true
		if st == nil || st.id != f.ID {
			continue
		}
		if f.Progress.Position == 1 && !f.OverQuota {
			h.heads = append(h.heads, queueHead{st, f.Waiter.Wants})
		}
		turn := f.MayTake || st.eager
		if due && !first[st.source] { // the look may not have seen all that there is
			first[st.source], turn = true, true
		}
		news := st.place.Position == 0 || now.Sub(st.told) >= newsEvery && differs(st.place, f.Progress)
		if news {
			st.place, st.told = f.Progress, now
		}
		if turn {
			st.sure, st.after = f.Counted, h.served
		}
		if st.turn = st.turn || turn; turn || news {
			st.notify()
		}
	}
	for id, st := range seats {
		if !seen[id] && st.id == id && h.all[st] {
			st.gone = true
			st.notify()
		}
	}
	return gone
}

// differs reports whether a position is news: estimates change all the time.
func differs(a, b compute.Progress) bool {
	d := (a.Estimate - b.Estimate).Abs()
	return a.Position != b.Position || (a.Estimate == 0) != (b.Estimate == 0) || a.Reason != b.Reason ||
		a.Unreachable != b.Unreachable || d > time.Second && d > b.Estimate/5
}
