package pool

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// weigh tells order what a project has and may have.
func (d *draw) weigh(project string) claim {
	c, err := d.held(project, "")
	if err != nil && d.failed == nil {
		d.failed = err
	}
	return claim{held: capacityOf(c), weight: d.p.project(project).Weight}
}

// living takes those out of the queue whose process has ended, or has nobody who waits for it.
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

// need is what somebody who comes before asks of what stands ready.
type need struct {
	least size
	most  float64 // that it may cost for an hour; 0: anything
}

// line is the queue in order, with what is not to be passed noted as one goes along it.
type line struct {
	d       *draw
	ordered []*compute.Waiter
	// projects, and users of them, that have no more of their quota for somebody who is before
	full   map[string]error
	chosen int64 // the request that is known to have a choice of its own, if any
}

func (d *draw) line(ws []*compute.Waiter) (*line, error) {
	l := &line{d: d, ordered: order(ws, d.weigh), full: map[string]error{}}
	return l, d.failed
}

// over tells why a request may not be served by its quotas: nil when it may. Who comes later in its
// project, or of its user, may then not either, as it would never have its turn else.
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

// keep notes that what a request wants is not for those behind it, but for what will not do for it;
// and what can be made of a source, unless that which it wants cannot.
func (l *line) keep(w *compute.Waiter) {
	d := l.d
	if d.wanted == nil {
		d.wanted, d.claimed, d.tries = map[int64][]need{}, map[int64]bool{}, map[int64][]want{}
	}
	asked, stuck := wantOfWaiter(w), d.stuck(w)
	for _, key := range w.Wants {
		switch {
		case stuck[key] == hopeful && w.Passed >= patience && d.gives(key):
			// whatever stands ready gives way to it
			d.wanted[key] = append(d.wanted[key], need{})
		case asked.chosen(): // nothing that stands ready does for it
		default:
			d.wanted[key] = append(d.wanted[key], need{asked.size(), asked.Price})
		}
		switch stuck[key] {
		case hopeful:
			d.claimed[key] = true
		case inTrial:
			d.tries[key] = append(d.tries[key], d.ofKey(asked, key))
		}
	}
}

// ofKey is a want of the source of a record.
func (d *draw) ofKey(w want, key int64) want {
	for _, s := range d.p.ordered {
		if d.p.keyOf(s) == key && s.Type != poolType {
			return w.of(s)
		}
	}
	return w
}

// turn judges whether it is a request's turn: *errShort when others come before, or its quota is
// used up. waiter is its place in the queue, nil where it has none yet.
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
	// room that comes free for a large part would never last else
	if err == nil && (d.shut(r.Key) || s.Share && len(d.wanted[r.Key]) > 0) && !req.CachedOnly {
		short := &errShort{source: s, text: "others wait for it"}
		short.causes, err = d.unreached(s)
		if err == nil {
			err = short
		}
	}
	return err
}

// unreached says why no place of a source answers; none: some do.
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

// shut tells whether somebody who comes before waits for whatever a source has.
func (d *draw) shut(key int64) bool {
	for _, z := range d.wanted[key] {
		if z == (need{}) {
			return true
		}
	}
	return false
}

// kept tells whether an instance is for somebody who comes before.
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

// passedBy returns who of the jumped has waited longest for what something was taken of that stood
// ready, and would have made room for him else.
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

// settleTurn judges what was drawn, whose sizes are known now, by the quotas, and notes who was
// passed.
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
		d.booked = maps.Clone(had) // what was handed out is in the sums of the leases by now
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
