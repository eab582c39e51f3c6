package allocate

import (
	"cmp"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/demand"
)

// living drops requests whose process has ended, or in which nothing waits for them any more.
func (d *allocation) living(ws []*inventory.Waiter, leave bool) []*inventory.Waiter {
	others := map[int64]bool{} // processes that live
	out := ws[:0]
	for _, w := range ws {
		is, known := others[w.Worker]
		if w.Worker == d.view.Worker || !known {
			is = d.view.Waits(w)
			others[w.Worker] = is
		}
		if is {
			out = append(out, w)
		} else if leave {
			d.plan.leave(w)
		}
	}
	return out
}

// queueView is the queue in order. The allocation notes what later requests must leave as one goes
// along it.
type queueView struct {
	d       *allocation
	ordered []*inventory.Waiter
	// projects, and their users, whose quota earlier requests have used up
	full   map[string]error
	chosen int64 // the request that is known to have a choice of its own, if any
}

func (d *allocation) queueView(ws []*inventory.Waiter) (*queueView, error) {
	l := &queueView{d: d, ordered: order(ws, d.quotas.weigh), full: map[string]error{}}
	return l, d.quotas.failed
}

// overQuota returns why quotas keep a request from being served, or nil. Then they keep back later
// requests of its project, or of its user, too: else its turn would never come.
func (l *queueView) overQuota(w *inventory.Waiter) error {
	pr := l.d.view.Project(w.Project)
	if !pr.limited() {
		return nil
	}
	for _, key := range []string{w.Project, w.Project + "\x00" + w.Owner} {
		if err := l.full[key]; err != nil {
			return err
		}
	}
	err := l.d.quotas.within(w.Project, w.Owner, l.d.view.asked(w.Source, w.Count, w.Cores, w.Memory, w.ID == l.chosen))
	var q *quotaError
	if errors.As(err, &q) {
		l.full[q.key] = err
	}
	return err
}

// reserve notes that later requests must leave what w wants, unless it will not do for w. They must
// also leave what a source can make, unless it cannot make what w wants.
func (l *queueView) reserve(w *inventory.Waiter) {
	d := l.d
	if d.claims.wanted == nil {
		d.claims.wanted, d.claims.claimed, d.claims.trying = map[int64][]need{}, map[int64]bool{}, map[int64][]demand.Demand{}
	}
	asked, outlook := DemandOfWaiter(w), d.known.feasibilities(w)
	for _, key := range w.Wants {
		switch {
		case outlook[key] == feasible && w.Passed >= patience && d.known.replaceable(key):
			// any ready instance gives way to it
			d.claims.wanted[key] = append(d.claims.wanted[key], need{})
		case asked.Chosen(): // no ready instance does for it
		default:
			d.claims.wanted[key] = append(d.claims.wanted[key], need{asked.Amount(), asked.Price})
		}
		switch outlook[key] {
		case feasible:
			d.claims.claimed[key] = true
		case beingTried:
			d.claims.trying[key] = append(d.claims.trying[key], d.known.ofKey(asked, key))
		}
	}
}

// admit returns *ShortError if it is not a request's turn: others come before, or its quota is used
// up. waiter is its place in the queue, nil where it has none yet.
func (d *allocation) admit(s *Source, req compute.Request, waiter *inventory.Waiter) error {
	ws, err := d.plan.Waiters()
	if err != nil {
		return err
	}
	limited := d.view.Project(req.Project).limited()
	if len(ws) == 0 && waiter == nil && !limited {
		return nil
	}
	ws = d.living(ws, true)
	self := waiter
	if self == nil {
		self = &inventory.Waiter{ID: 1<<63 - 1, Source: s.Name, Count: req.Count, Owner: req.Owner, Project: req.Project,
			Priority: d.view.Project(req.Project).Priority(req.Priority), Cores: req.Cores, Memory: req.Memory, Disk: req.Disk}
		for _, c := range s.All() {
			r, err := d.known.record(c)
			if err != nil {
				return err
			}
			self.Wants = append(self.Wants, r.Key)
		}
		ws = append(ws, self)
	}
	l, err := d.queueView(ws)
	if err != nil {
		return err
	}
	if d.asks.Chosen() {
		l.chosen = self.ID
	}
	found := false
	for _, w := range l.ordered {
		over := l.overQuota(w)
		if found = w.ID == self.ID; found {
			if q := (*quotaError)(nil); errors.As(over, &q) {
				return &ShortError{Source: s, Text: q.text}
			} else if over != nil {
				return over
			}
			break
		}
		if over == nil {
			l.reserve(w)
			if w.ID < self.ID && DemandOfWaiter(w) != (demand.Demand{}) {
				d.overtaken = append(d.overtaken, w)
			}
		}
	}
	if !found {
		return ErrNotQueued
	}
	if !req.CachedOnly {
		d.later = passedBy(l.ordered, self.ID)
	}
	r, err := d.known.record(s)
	// A request that was overtaken too often keeps all back. On shared instances every earlier one
	// does, as room for a large part would never be free for long.
	if err == nil && (d.claims.taken(r.Key) || s.Share && len(d.claims.wanted[r.Key]) > 0) && !req.CachedOnly {
		short := &ShortError{Source: s, Text: "others wait for it"}
		short.Causes, err = d.known.unreached(s)
		if err == nil {
			err = short
		}
	}
	return err
}

// passedBy returns the jumped request that has waited longest for a source of which a ready
// instance was taken, and for which that instance would have made room.
func (d *allocation) passedBy(units []*Grant) []*inventory.Waiter {
	slices.SortFunc(d.overtaken, func(a, b *inventory.Waiter) int { return cmp.Compare(a.ID, b.ID) })
	for _, w := range d.overtaken {
		if !slices.ContainsFunc(units, func(u *Grant) bool { return !u.Fresh && slices.Contains(w.Wants, u.Instance.SourceKey) }) {
			continue
		}
		outlook := d.known.feasibilities(w)
		if slices.ContainsFunc(units, func(u *Grant) bool {
			return outlook[u.Instance.SourceKey] == feasible && d.known.replaceable(u.Instance.SourceKey)
		}) &&
			w.Passed < patience {
			return []*inventory.Waiter{w}
		}
	}
	return nil
}

// checkQuota checks what was drawn, now that its sizes are known, against the quotas. It notes the
// requests that were passed.
func (d *allocation) checkQuota(req compute.Request, units []*Grant) error {
	if d.view.Project(req.Project).limited() {
		var all compute.Capacity
		for _, u := range units {
			if u.Fresh {
				all = all.Add(u.Instance.Booked.Holds)
				continue
			} else if !d.plan.hands(u) {
				continue // it is on an instance that is to be made, and booked there
			}
			c, err := d.view.Count(d.plan, u, u.Lease)
			if err != nil {
				return err
			}
			all = all.Add(c)
		}
		err := d.quotas.within(req.Project, req.Owner, all)
		if q := (*quotaError)(nil); errors.As(err, &q) {
			return &ShortError{Source: units[0].Source, Text: q.text}
		} else if err != nil {
			return err
		}
	}
	for _, w := range append(d.later, d.passedBy(units)...) {
		d.plan.pass(w)
	}
	return nil
}
