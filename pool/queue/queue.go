package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/lifecycle"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
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

// Enqueue waits until a request can be served. Before, it does the work that is due: that may be
// all that is missing. A request with no Wait still waits for instances on their way into or out
// of the cache, as that ends by itself.
func (p *Queue) Enqueue(
	ctx context.Context, s *allocate.Source, req compute.Request, short *allocate.ShortError, start time.Time,
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
		_, err := p.background.RunDue(bounded, s.Name)
		if cancel(); err != nil {
			p.core.Log.Warn("what was due could not be done", "source", s.Name, "err", err)
		}
	}
	leases, err := p.handouts.TryAcquire(ctx, s, req, nil, time.Since(start))
	if !errors.As(err, &short) {
		return leases, err
	}
	if req.Wait == 0 && (len(short.Causes) > 0 || !p.core.Moving(ctx, s)) {
		if !slices.ContainsFunc(short.Causes, func(e error) bool { return !errors.Is(e, compute.ErrUnavailable) }) &&
			len(short.Causes) > 0 {
			return nil, &compute.Error{Kind: compute.ErrUnavailable, Err: errors.Join(short.Causes...)}
		}
		return nil, &compute.Error{Kind: compute.ErrNoCapacity, Err: short,
			Hint: p.wayOut(ctx, s, len(short.Causes) > 0, true)}
	}
	w := &inventory.Waiter{Source: s.Name, Count: req.Count, Owner: req.Owner, Worker: p.core.Store.Worker(), Since: start,
		Project: req.Project, Priority: p.core.Project(req.Project).Priority(req.Priority), Purpose: req.Purpose,
		Cores: req.Cores, Memory: req.Memory, Disk: req.Disk, Asks: allocate.DemandText(req)}
	if w.Wants, err = p.records.Wants(ctx, s, req); err != nil {
		return nil, err
	}
	if err := p.core.Join(ctx, w); err != nil {
		return nil, err
	}
	p.core.Step("queue:joined")
	leases, err = p.wait(ctx, s, req, w, short, start)
	if err != nil {
		rest, cancel := state.CleanupContext(ctx)
		defer cancel()
		err = errors.Join(err, p.core.Leave(rest, w.ID))
		p.core.Wake()
	}
	return leases, err
}

// mayReconcile reports whether the work that is due for a source is to be done now for a waiting
// request, and notes that it is.
func (p *Queue) mayReconcile(s *allocate.Source) bool {
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	if time.Since(p.core.At(s).Reconciled) < chores {
		return false
	}
	p.core.At(s).Reconciled = time.Now()
	return true
}

// wait tries whenever the request's turn may have come. short is why it waits, if that is known.
func (p *Queue) wait(
	ctx context.Context, s *allocate.Source, req compute.Request, w *inventory.Waiter, short *allocate.ShortError, start time.Time,
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
			p.core.Step("queue:alone")
			p.ensureDispatcher(st)
			continue
		}
		// select takes any of several reasons to wake. From here on their order is fixed, so that a
		// simulation replays.
		p.core.Step("queue:woken")
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
		leases, err := p.handouts.TryAcquire(ctx, s, req, w, time.Since(start))
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
		if req.Wait == 0 && !p.core.Moving(ctx, s) {
			return nil, short
		}
		p.missed(st)
		// what it got was unfit, and there is no more now: it waits as if it had just come
		if w.ID == 0 {
			if err := p.core.Join(ctx, w); err != nil {
				return nil, err
			}
			p.rejoined(st, w.ID)
		}
	}
}

// timedOut returns the error of a request that has waited as long as it may. reason is why it was
// not its turn, and short why it could not be served.
func (p *Queue) timedOut(
	ctx context.Context, s *allocate.Source, req compute.Request, start time.Time, reason string, short *allocate.ShortError,
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
func (p *Queue) wayOut(ctx context.Context, s *allocate.Source, reason, zero bool) string {
	inUse, unreachable := false, ""
	err := p.core.Store.View(ctx, func(tx store.Tx) error {
		inUse, unreachable = false, ""
		for _, c := range s.All() {
			r, err := tx.SourceByKey(p.core.KeyOf(c))
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

// successor is the queue of the engine that took over; nil: there is none.
func (p *Queue) successor() *Queue {
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	return p.next
}

// takeOver goes on with a request that waited in another engine.
func (p *Queue) takeOver(ctx context.Context, req compute.Request, w *inventory.Waiter, start time.Time) ([]compute.Lease, error) {
	s, err := p.core.Find(req.Source)
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
	if err := p.templates.Prepare(ctx, s); err != nil {
		return nil, err
	}
	if err := p.records.CheckPrice(ctx, s, req); err != nil {
		return nil, err
	}
	if err := p.records.Fits(s, req); err != nil {
		return nil, err
	}
	wants, err := p.records.Wants(ctx, s, req)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(wants, w.Wants) {
		err := p.core.Store.Update(ctx, func(tx store.Tx) error {
			ws, err := tx.Waiters()
			// else its next look finds it
			if n := slices.IndexFunc(ws, func(o *inventory.Waiter) bool { return o.ID == w.ID }); err == nil && n >= 0 {
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

// Canceled is the kind of the event that a request was canceled.
const Canceled = "unqueued"

// backIn handles a request that is not in the queue any more. If it was canceled, that is its end.
// If this process was taken for dead, as its connection to the store was cut for a moment, it waits
// anew.
func (p *Queue) backIn(ctx context.Context, s *allocate.Source, st *waiter, w *inventory.Waiter) error {
	events, err := p.core.Events(ctx, inventory.EventQuery{Source: s.Name, Newest: 200})
	if err != nil {
		return err
	}
	for _, ev := range events {
		if ev.Kind == Canceled && ev.Data["request"] == strconv.FormatInt(w.ID, 10) {
			return &compute.Error{
				ID: compute.ID(s.Name), Kind: compute.ErrConflict, Err: errors.New(ev.Text),
				Hint: "ask again if you still want it",
			}
		}
	}
	p.core.Inflight.Leave(state.RequestKey(w.ID))
	w.ID, w.Worker = 0, p.core.Store.Worker()
	if err := p.core.Join(ctx, w); err != nil {
		return err
	}
	p.rejoined(st, w.ID)
	return nil
}

// Queue has the requests of this process that wait, and serves them in their turn.
type Queue struct {
	core       *state.Core
	templates  *sources.Templates
	records    *leasing.Records
	handouts   *lifecycle.Handouts
	background *lifecycle.Background
	waiters    waiters
	next       *Queue // of the engine that took over, guarded by core.mu; nil: none
}

func NewQueue(c *state.Core, t *sources.Templates, r *leasing.Records, h *lifecycle.Handouts, b *lifecycle.Background) *Queue {
	return &Queue{core: c, templates: t, records: r, handouts: h, background: b}
}

// HandOver has the requests that wait go on in another engine's queue.
func (p *Queue) HandOver(next *Queue) {
	p.core.Mu.Lock()
	p.next = next
	p.core.Mu.Unlock()
	h := &p.waiters
	h.mu.Lock()
	for st := range h.all {
		st.notify()
	}
	h.mu.Unlock()
}
