package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

const (
	// tick is how often waiting requests look whether another process has written. The look reads a
	// counter in shared memory. Where nothing has happened for long it is done less often.
	tick     = 10 * time.Millisecond
	tickMost = 100 * time.Millisecond
	// chores is how often a waiting process looks for leases that are over, and for work that a
	// dead process left. Where it is known that a lease ends before, it looks then.
	chores     = time.Second
	choresMost = 5 * time.Second
)

// unhurried is the time until the next look where nothing has happened for quiet: a twentieth of
// that, from least to most. No request waits noticeably longer for it, and many that wait for hours
// cost next to nothing.
func unhurried(quiet, least, most time.Duration) time.Duration {
	return min(max(least, quiet/20), most)
}

// enqueue waits until a request can be served. Before, it does the work that is due: that may be
// all that is missing. A request with no Wait still waits for instances on their way into or out
// of the cache, as that ends by itself.
func (p *queue) enqueue(
	ctx context.Context, s *Source, req compute.Request, short *allocate.ShortError, start time.Time,
) ([]compute.Lease, error) {
	// time was spent on instances that were made for it, in vain
	if waited := time.Since(start); req.Wait > 0 && waited >= req.Wait {
		return nil, p.timedOut(ctx, s, req, start, "", short)
	}
	// of many requests at once one does it, if the others wait: the dispatcher goes on with it
	if req.Wait == 0 || len(short.Expired) > 0 || p.mayReconcile(s) {
		bounded, cancel := ctx, func() {}
		if req.Wait > 0 { // a provider that hangs holds up no request for longer
			bounded, cancel = context.WithTimeout(ctx, req.Wait-time.Since(start))
		}
		_, err := p.background.runDue(bounded, s.Name)
		if cancel(); err != nil {
			p.core.log.Warn("what was due could not be done", "source", s.Name, "err", err)
		}
	}
	leases, err := p.handouts.attempt(ctx, s, req, nil, time.Since(start))
	if !errors.As(err, &short) {
		return leases, err
	}
	if req.Wait == 0 && (len(short.Causes) > 0 || !p.core.moving(ctx, s)) {
		if !slices.ContainsFunc(short.Causes, func(e error) bool { return !errors.Is(e, compute.ErrUnavailable) }) &&
			len(short.Causes) > 0 {
			return nil, &compute.Error{Kind: compute.ErrUnavailable, Err: errors.Join(short.Causes...)}
		}
		return nil, &compute.Error{Kind: compute.ErrNoCapacity, Err: short,
			Hint: p.wayOut(ctx, s, len(short.Causes) > 0, true)}
	}
	w := &compute.Waiter{Source: s.Name, Count: req.Count, Owner: req.Owner, Worker: p.core.store.Worker(), Since: start,
		Project: req.Project, Priority: p.core.project(req.Project).Priority(req.Priority), Purpose: req.Purpose,
		Cores: req.Cores, Memory: req.Memory, Disk: req.Disk, Asks: allocate.DemandText(req)}
	if w.Wants, err = p.records.wants(ctx, s, req); err != nil {
		return nil, err
	}
	if err := p.core.join(ctx, w); err != nil {
		return nil, err
	}
	p.core.step("queue:joined")
	leases, err = p.wait(ctx, s, req, w, short, start)
	if err != nil {
		rest, cancel := cleanupContext(ctx)
		defer cancel()
		err = errors.Join(err, p.core.leave(rest, w.ID))
		p.core.wake()
	}
	return leases, err
}

// mayReconcile reports whether the work that is due for a source is to be done now for a waiting
// request, and notes that it is.
func (p *queue) mayReconcile(s *Source) bool {
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	if time.Since(p.core.at(s).reconciled) < chores {
		return false
	}
	p.core.at(s).reconciled = time.Now()
	return true
}

// requestKey is a queued request's key in Inflight.
func requestKey(id int64) string { return fmt.Sprintf("request %d", id) }

// join puts a request into the queue. If the store fails it may be there or not: then it is a
// stale requests.
func (p *core) join(ctx context.Context, w *compute.Waiter) error {
	var taken []string
	err := p.store.Update(compute.Growing(ctx), func(tx store.Tx) error {
		p.inflight.leave(taken...)
		taken = nil
		if err := tx.Join(w); err != nil {
			return err
		}
		taken = []string{requestKey(w.ID)}
		p.inflight.take(taken...)
		return nil
	})
	if err != nil {
		p.inflight.leave(taken...)
		p.markStaleRequests()
	}
	return err
}

// leave takes a request out of the queue. If the store cannot, it is a stale request.
func (p *core) leave(ctx context.Context, id int64) error {
	if id == 0 {
		return nil // it is not in there
	}
	p.inflight.leave(requestKey(id))
	err := p.store.Update(ctx, func(tx store.Tx) error { return tx.Leave(id) })
	if err != nil {
		p.markStaleRequests()
	}
	return err
}

// markStaleRequests notes that there may be stale requests: those of this process in the queue
// that nothing waits for. They would block all others as long as the process lives, so they are
// removed before the next operation.
func (p *core) markStaleRequests() {
	p.mu.Lock()
	p.staleRequests = true
	p.mu.Unlock()
}

// removeStaleRequests takes stale requests out of the queue.
func (p *core) removeStaleRequests(ctx context.Context) error {
	p.mu.Lock()
	haunted := p.staleRequests
	p.staleRequests = false
	p.mu.Unlock()
	if !haunted {
		return nil
	}
	err := p.store.Update(ctx, func(tx store.Tx) error {
		ws, err := tx.Waiters()
		if err != nil {
			return err
		}
		for _, w := range ws {
			if w.Worker == p.store.Worker() && !p.waits(w) {
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
	p.wake()
	return err
}

// waits reports whether a goroutine or process still waits for a request in the queue.
func (p *core) waits(w *compute.Waiter) bool { return p.atWork(w.Worker, requestKey(w.ID)) }

// version returns the store's version, or 0 when it cannot be read: the next transaction will fail.
func (p *core) version(ctx context.Context) int64 {
	v, err := p.store.Version(ctx)
	if err != nil {
		return 0
	}
	return v
}

// wait tries whenever the request's turn may have come. short is why it waits, if that is known.
func (p *queue) wait(
	ctx context.Context, s *Source, req compute.Request, w *compute.Waiter, short *allocate.ShortError, start time.Time,
) ([]compute.Lease, error) {
	var over <-chan time.Time
	if req.Wait > 0 {
		t := time.NewTimer(max(0, req.Wait-time.Since(start)))
		defer t.Stop()
		over = t.C
	}
	st := p.addWaiter(s, w.ID, req)
	defer p.removeWaiter(st)
	var told compute.Progress
	for {
		if next := p.successor(); next != nil {
			return next.takeOver(ctx, req, w, start)
		}
		select {
		case <-ctx.Done():
		case <-over:
		case <-st.wake:
		case <-st.ended: // its dispatcher is no more
			p.core.step("queue:alone")
			p.ensureDispatcher(st)
			continue
		}
		// select takes any of several reasons to wake. From here on their order is fixed, so that a
		// simulation replays.
		p.core.step("queue:woken")
		late := false
		if over != nil {
			late = time.Since(start) >= req.Wait
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		} else if late {
			return nil, p.timedOut(ctx, s, req, start, told.Reason, short)
		}
		turn, gone, place := st.wakeReason(&p.waiters)
		if gone {
			if err := p.backIn(ctx, s, st, w); err != nil {
				return nil, err
			}
			continue
		}
		if place != told {
			if told = place; req.Notify != nil {
				req.Notify(place)
			}
		}
		if !turn {
			continue
		}
		leases, err := p.handouts.attempt(ctx, s, req, w, time.Since(start))
		if errors.Is(err, allocate.ErrNotQueued) {
			if err := p.backIn(ctx, s, st, w); err != nil {
				return nil, err
			}
			continue
		}
		if !errors.As(err, &short) {
			if err == nil {
				p.served(st)
			}
			return leases, err
		}
		if req.Wait == 0 && !p.core.moving(ctx, s) {
			return nil, short
		}
		p.missed(st)
		// what it got was unfit, and there is no more now: it waits as if it had just come
		if w.ID == 0 {
			if err := p.core.join(ctx, w); err != nil {
				return nil, err
			}
			p.rejoined(st, w.ID)
		}
	}
}

// timedOut returns the error of a request that has waited as long as it may. reason is why it was
// not its turn, and short why it could not be served.
func (p *queue) timedOut(
	ctx context.Context, s *Source, req compute.Request, start time.Time, reason string, short *allocate.ShortError,
) error {
	e := &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrTimeout,
		Err: fmt.Errorf(
			"%s free within %v",
			map[bool]string{true: "no instance came", false: fmt.Sprintf("%d instances did not come", req.Count)}[req.Count == 1],
			time.Since(start).Round(100*time.Millisecond),
		),
		Hint: p.wayOut(ctx, s, reason != "" || short != nil && len(short.Causes) > 0, false)}
	if reason == "" && short != nil {
		reason = strings.TrimPrefix(short.Error(), s.Name+": no capacity: ")
	}
	if reason != "" {
		e.Err = fmt.Errorf("%w: %s", e.Err, reason)
	}
	return e
}

// wayOut is the hint for a request that got nothing of a source. It depends on whether the place
// cannot be reached, whether what was asked for cannot be made, as reason says, and whether all is
// in use. zero: the request did not wait.
func (p *queue) wayOut(ctx context.Context, s *Source, reason, zero bool) string {
	inUse, unreachable := false, ""
	err := p.core.store.View(ctx, func(tx store.Tx) error {
		inUse, unreachable = false, ""
		for _, c := range s.All() {
			r, err := tx.SourceByKey(p.core.keyOf(c))
			if err != nil {
				return err
			}
			inUse = inUse || r.Counts.InUse() > 0
			if allocate.Unreachable(r) {
				unreachable = c.Name
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return ""
	case unreachable != "":
		return "`hostler source test " + unreachable + "` tries it now"
	case inUse && zero:
		return fmt.Sprintf("release one, or wait for one with --wait; `hostler status -v %s` shows who has them", s.Name)
	case inUse:
		return fmt.Sprintf("`hostler status -v %s` shows who has them", s.Name)
	case reason:
		return "ask for less, or another source"
	case zero:
		return "wait for one with --wait"
	}
	return ""
}

// moving reports whether instances of a source are being cleaned or discarded, so that there will
// be room without a release.
func (p *core) moving(ctx context.Context, s *Source) bool {
	moving := false
	err := p.store.View(ctx, func(tx store.Tx) error {
		moving = false
		for _, c := range s.All() {
			is, err := tx.Instances(compute.InstanceQuery{
				SourceKey: p.keyOf(c), States: []compute.State{compute.Cleaning, compute.Discarding},
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
