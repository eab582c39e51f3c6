package pool

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// weigh returns what a project has and may have, for order.
func (d *draw) weigh(project string) claim {
	c, err := d.held(project, "")
	if err != nil && d.failed == nil {
		d.failed = err
	}
	return claim{held: capacityOf(c), weight: d.p.project(project).Weight}
}

// living drops requests whose process has ended, or in which nothing waits for them any more.
func (d *draw) living(ws []*compute.Waiter, leave bool) ([]*compute.Waiter, error) {
	others := map[int64]bool{} // processes that live
	out := ws[:0]
	for _, w := range ws {
		is, known := others[w.Worker]
		if w.Worker == d.p.store.Worker() {
			is = d.p.waits(w)
		} else if !known {
			is = d.p.store.Alive(w.Worker)
			others[w.Worker] = is
		}
		if is {
			out = append(out, w)
		} else if leave {
			if err := d.tx.Leave(w.ID); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// need is what a request that comes before asks of a ready instance.
type need struct {
	least size
	most  float64 // that it may cost for an hour; 0: anything
}

// line is the queue in order. The draw notes what later requests must leave as one goes along it.
type line struct {
	d       *draw
	ordered []*compute.Waiter
	// projects, and their users, whose quota earlier requests have used up
	full   map[string]error
	chosen int64 // the request that is known to have a choice of its own, if any
}

func (d *draw) line(ws []*compute.Waiter) (*line, error) {
	l := &line{d: d, ordered: order(ws, d.weigh), full: map[string]error{}}
	return l, d.failed
}

// over returns why quotas keep a request from being served, or nil. Then they keep back later
// requests of its project, or of its user, too: else its turn would never come.
func (l *line) over(w *compute.Waiter) error {
	pr := l.d.p.project(w.Project)
	if !pr.limited() {
		return nil
	}
	for _, key := range []string{w.Project, w.Project + "\x00" + w.Owner} {
		if err := l.full[key]; err != nil {
			return err
		}
	}
	err := l.d.within(w.Project, w.Owner, l.d.p.asked(w.Source, w.Count, w.Cores, w.Memory, w.ID == l.chosen))
	var q *errQuota
	if errors.As(err, &q) {
		l.full[q.key] = err
	}
	return err
}

// keep notes that later requests must leave what w wants, unless it will not do for w. They must
// also leave what a source can make, unless it cannot make what w wants.
func (l *line) keep(w *compute.Waiter) {
	d := l.d
	if d.wanted == nil {
		d.wanted, d.claimed, d.tries = map[int64][]need{}, map[int64]bool{}, map[int64][]want{}
	}
	asked, stuck := wantOfWaiter(w), d.stuck(w)
	for _, key := range w.Wants {
		switch {
		case stuck[key] == hopeful && w.Passed >= patience && d.gives(key):
			// any ready instance gives way to it
			d.wanted[key] = append(d.wanted[key], need{})
		case asked.Chosen(): // no ready instance does for it
		default:
			d.wanted[key] = append(d.wanted[key], need{size(asked.Amount()), asked.Price})
		}
		switch stuck[key] {
		case hopeful:
			d.claimed[key] = true
		case inTrial:
			d.tries[key] = append(d.tries[key], d.ofKey(asked, key))
		}
	}
}

// ofKey returns a want for the source of a record.
func (d *draw) ofKey(w want, key int64) want {
	for _, s := range d.p.ordered {
		if d.p.keyOf(s) == key && s.Type != poolType {
			return w.Beyond(s.usual())
		}
	}
	return w
}

// turn returns *errShort if it is not a request's turn: others come before, or its quota is used
// up. waiter is its place in the queue, nil where it has none yet.
func (d *draw) turn(s *source, req compute.Request, waiter *compute.Waiter) error {
	ws, err := d.tx.Waiters()
	if err != nil {
		return err
	}
	limited := d.p.opt.Projects != nil && d.p.project(req.Project).limited()
	if len(ws) == 0 && waiter == nil && !limited {
		return nil
	}
	if ws, err = d.living(ws, true); err != nil {
		return err
	}
	self := waiter
	if self == nil {
		self = &compute.Waiter{ID: 1<<63 - 1, Source: s.Name, Count: req.Count, Owner: req.Owner, Project: req.Project,
			Priority: d.p.project(req.Project).priority(req.Priority), Cores: req.Cores, Memory: req.Memory, Disk: req.Disk}
		for _, c := range s.all() {
			r, err := d.record(c)
			if err != nil {
				return err
			}
			self.Wants = append(self.Wants, r.Key)
		}
		ws = append(ws, self)
	}
	l, err := d.line(ws)
	if err != nil {
		return err
	}
	if d.choice != (choice{}) {
		l.chosen = self.ID
	}
	found := false
	for _, w := range l.ordered {
		over := l.over(w)
		if found = w.ID == self.ID; found {
			if q := (*errQuota)(nil); errors.As(over, &q) {
				return &errShort{source: s, text: q.text}
			} else if over != nil {
				return over
			}
			break
		}
		if over == nil {
			l.keep(w)
			if w.ID < self.ID && wantOfWaiter(w) != (want{}) {
				d.jumped = append(d.jumped, w)
			}
		}
	}
	if !found {
		return errTaken
	}
	if !req.CachedOnly {
		d.passed = passes(l.ordered, self.ID)
	}
	r, err := d.record(s)
	// otherwise room for a large part would never be free for long
	if err == nil && (d.shut(r.Key) || s.Share && len(d.wanted[r.Key]) > 0) && !req.CachedOnly {
		short := &errShort{source: s, text: "others wait for it"}
		short.causes, err = d.unreached(s)
		if err == nil {
			err = short
		}
	}
	return err
}

// unreached returns why no place of a source answers; none: some do.
func (d *draw) unreached(s *source) (why []error, err error) {
	for _, c := range s.all() {
		if c.Type == poolType {
			continue
		}
		r, err := d.record(c)
		if err != nil || !doubted(r) {
			return nil, err
		}
		why = append(why, d.pausedBy(c, r))
	}
	return why, nil
}

// shut reports whether an earlier request waits for any instance that a source has.
func (d *draw) shut(key int64) bool {
	for _, z := range d.wanted[key] {
		if z == (need{}) {
			return true
		}
	}
	return false
}

// kept reports whether an instance is for an earlier request.
func (d *draw) kept(i *compute.Instance) (bool, error) {
	for _, z := range d.wanted[i.SourceKey] {
		if lacks, err := z.least.lackedBy(d.tx, i); err != nil {
			return true, err
		} else if dear, err := d.dear(i, z.most); err != nil || !lacks && !dear {
			return true, err
		}
	}
	return false, nil
}

// passedBy returns the jumped request that has waited longest for a source of which a ready
// instance was taken, and for which that instance would have made room.
func (d *draw) passedBy(units []*unit) []*compute.Waiter {
	slices.SortFunc(d.jumped, func(a, b *compute.Waiter) int { return cmp.Compare(a.ID, b.ID) })
	for _, w := range d.jumped {
		if !slices.ContainsFunc(units, func(u *unit) bool { return !u.fresh && slices.Contains(w.Wants, u.inst.SourceKey) }) {
			continue
		}
		stuck := d.stuck(w)
		if slices.ContainsFunc(units, func(u *unit) bool { return stuck[u.inst.SourceKey] == hopeful && d.gives(u.inst.SourceKey) }) &&
			w.Passed < patience {
			return []*compute.Waiter{w}
		}
	}
	return nil
}

// settleTurn checks what was drawn, now that its sizes are known, against the quotas. It notes the
// requests that were passed.
func (d *draw) settleTurn(req compute.Request, units []*unit) error {
	if d.p.opt.Projects != nil && d.p.project(req.Project).limited() {
		var took, all compute.Capacity
		for _, u := range units {
			c := u.lease.Holds
			if u.fresh {
				c = u.inst.Booked.Holds
			} else {
				took = took.Add(c)
			}
			all = all.Add(c)
		}
		had := d.booked
		d.booked = maps.Clone(had) // leases handed out are in the sums by now
		for _, key := range [][2]string{{req.Project, req.Owner}, {req.Project, ""}} {
			d.booked[key] = d.booked[key].Less(took)
		}
		err := d.within(req.Project, req.Owner, all)
		d.booked = had
		if q := (*errQuota)(nil); errors.As(err, &q) {
			return &errShort{source: units[0].src, text: q.text}
		} else if err != nil {
			return err
		}
	}
	for _, w := range append(d.passed, d.passedBy(units)...) {
		w.Passed++
		if err := d.tx.SaveWaiter(w); err != nil {
			return err
		}
	}
	return nil
}
