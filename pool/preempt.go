package pool

import (
	"context"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// A request may want something that no ready instance has, such as more memory or another image. It
// has it made when its turn comes; nothing is made ahead in its stead. Where the source is at its
// maximum, one ready instance for each that is waited for makes room. Only ready instances that
// would do for no waiting request go.

// waitingFor is what waiting requests need beside the ready instances that will do for them.
type waitingFor struct {
	plain  map[string]int // by source name: instances as the source keeps them ready
	own    map[string]int // of other instances, which can be made as far as is known
	spoken map[int64]int  // by source record: places for own
	ways   []way
}

// way is a ready instance that is to make room.
type way struct {
	inst *compute.Instance
	why  reason
}

// makesRoom is the reason to discard such an instance.
func makesRoom(w *compute.Waiter) reason {
	return reason{compute.CauseRoom, "it makes room for somebody who waits for " + wantOfWaiter(w).String()}
}

// inNeed is a request that lacks instances, and may be given room.
type inNeed struct {
	w    *compute.Waiter
	s    *source
	n    int
	keys []int64 // the sources that may give it room
}

// demands goes along the queue and sums what it needs. ways: it also finds what is to make room.
func (d *draw) demands(l *line, ways bool) (*waitingFor, error) {
	m := &waitingFor{plain: map[string]int{}, own: map[string]int{}, spoken: map[int64]int{}}
	st := &stand{d: d, ready: map[int64][]*compute.Instance{}, coming: map[int64]int{}, closed: map[int64]bool{}}
	var needy []inNeed
	for _, w := range l.ordered {
		if l.over(w) != nil { // a quota keeps it from instances that are made now
			continue
		}
		s := d.p.sources[w.Source]
		if s == nil || s.Err != nil || s.Share {
			m.plain[w.Source] += w.Count
			continue
		}
		asked, stuck := wantOfWaiter(w), d.stuck(w)
		own := !d.serves(s, asked)
		hope := stuck == nil ||
			slices.ContainsFunc(s.all(), func(c *source) bool { return c.Type != poolType && stuck[d.p.keyOf(c)] == hopeful })
		if !own {
			m.plain[w.Source] += w.Count
		} else if hope {
			m.own[w.Source] += w.Count
		}
		n := w.Count
		if ways && !asked.Chosen() {
			got, err := st.take(s, w, asked, n)
			if err != nil {
				return nil, err
			}
			n -= got
		}
		need := inNeed{w: w, s: s}
		for _, c := range s.all() {
			key := d.p.keyOf(c)
			if n == 0 || key == 0 || c.Type == poolType || stuck[key] != hopeful || !slices.Contains(w.Wants, key) {
				continue
			}
			got, err := st.room(c, n)
			if err != nil {
				return nil, err
			}
			n -= got
			if own {
				m.spoken[key] += got
			}
			if may, err := d.mayGive(c, asked); err != nil {
				return nil, err
			} else if may {
				need.keys = append(need.keys, key)
			}
		}
		if need.n = n; n == 0 || len(need.keys) == 0 {
			continue
		}
		if own { // the next free instance is for it
			m.spoken[need.keys[0]] += n
		}
		needy = append(needy, need)
		for _, c := range s.all() {
			st.closed[d.p.keyOf(c)] = st.closed[d.p.keyOf(c)] || w.Passed >= patience
		}
	}
	if !ways {
		return m, nil
	}
	for _, x := range needy {
		out, err := st.give(x)
		if err != nil {
			return nil, err
		}
		m.ways = append(m.ways, out...)
	}
	return m, nil
}

// serves reports whether the ready instances that a source keeps do for a want, as far as is known.
func (d *draw) serves(s *source, asked want) bool {
	if asked.Chosen() {
		return false
	}
	return slices.ContainsFunc(s.all(), func(c *source) bool {
		if c.Type == poolType {
			return false
		}
		w := asked.Beyond(c.usual())
		w.Price = 0 // a request that finds it too dear does not wait for it
		has, known := d.p.learnt(d.p.keyOf(c))
		return w == want{} ||
			known && has.Micro() >= w.Amount().Micro() && has.Memory >= w.Memory && has.Disk >= w.Disk && has.GPUs >= w.GPUs
	})
}

// gives reports whether a source, or one below a pool, makes other instances in place of those that
// go.
func (d *draw) gives(key int64) bool {
	for _, s := range d.p.ordered {
		if d.p.keyOf(s) != key {
			continue
		}
		return slices.ContainsFunc(s.all(), func(c *source) bool {
			o := d.p.ready(d.p.keyOf(c))
			return c.Type != poolType && !c.Share && o != nil && o.err == nil && len(o.names) == 0
		})
	}
	return false
}

// mayGive reports whether an instance of a source may go for a want: another would be made in its
// place, and nothing known says that this would be in vain.
func (d *draw) mayGive(s *source, asked want) (bool, error) {
	r, err := d.record(s)
	if err != nil || !d.gives(r.Key) || r.Paused.After(d.now) || !d.p.affords(s, asked.Price) {
		return false, err
	}
	asks := asked.Beyond(s.usual())
	if d.isTrying(s, r, asks) {
		return false, nil
	}
	h, err := d.hitch(r.Key, asks)
	return h == nil || h.Full < breakAt || d.now.Sub(h.Paused) > pauseMost, err
}

// inVainFor notes that what was made for a want did not do for it. For a while no ready instance
// goes for that want, and each request that asks for it is told at once.
func (p *Pool) inVainFor(tx store.Tx, key int64, u *unit) error {
	if !u.fresh || u.child != nil || u.asks == (want{}) || u.asks.Price != 0 {
		return nil
	}
	all, err := readHitches(tx, key)
	if err != nil {
		return err
	}
	now := time.Now()
	all = slices.DeleteFunc(all, func(h hitch) bool { return h.Want == u.asks })
	h := hitch{u.asks, compute.Backoff{Full: breakAt, Paused: now, LastError: causeOf(u.err)}}
	return saveHitches(tx, key, append(all, h), now)
}

// stand is what sources still have for waiting requests, as inTheWay goes along the queue.
type stand struct {
	d      *draw
	ready  map[int64][]*compute.Instance
	coming map[int64]int
	closed map[int64]bool // later requests get no ready instance of it
}

// idle returns the ready instances of a source that no earlier request gets.
func (st *stand) idle(s *source) ([]*compute.Instance, error) {
	d := st.d
	r, err := d.record(s)
	if err != nil {
		return nil, err
	}
	is, known := st.ready[r.Key]
	// among so many some will do
	if known || r.Counts.Ready == 0 || r.Counts.Ready > many || away(r, d.now) {
		return is, nil
	}
	all, err := d.tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready}})
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if hidden, err := d.hidden(s, i); err != nil {
			return nil, err
		} else if !hidden {
			is = append(is, i)
		}
	}
	st.ready[r.Key] = is
	return is, nil
}

// take gives a request up to n ready instances that do for it.
func (st *stand) take(s *source, w *compute.Waiter, asked want, n int) (got int, err error) {
	for _, c := range s.all() {
		key := st.d.p.keyOf(c)
		if key == 0 || st.closed[key] || !slices.Contains(w.Wants, key) {
			continue
		}
		is, err := st.idle(c)
		if err != nil {
			return got, err
		}
		var left []*compute.Instance
		for _, i := range is {
			lacks, err := size(asked.Amount()).lackedBy(st.d.tx, i)
			if err != nil {
				return got, err
			}
			dear := false
			if !lacks && asked.Price > 0 {
				if dear, err = st.d.dear(i, asked.Price); err != nil {
					return got, err
				}
			}
			if got == n || lacks || dear {
				left = append(left, i)
			} else {
				got++
			}
		}
		if st.ready[key] != nil {
			st.ready[key] = append([]*compute.Instance{}, left...)
		}
	}
	return got, nil
}

// room gives a request up to n places of a source that are free, or will be soon.
func (st *stand) room(s *source, n int) (int, error) {
	d := st.d
	r, err := d.record(s)
	if err != nil {
		return 0, err
	}
	has, known := st.coming[r.Key]
	if !known {
		if has = d.below(s, r); has < unlimited && r.Counts.Discarding > 0 {
			is, err := d.tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Discarding}})
			if err != nil {
				return 0, err
			}
			for _, i := range is {
				if i.Attempts == 0 {
					has++
				}
			}
		}
	}
	got := min(n, has)
	st.coming[r.Key] = has - got
	return got, nil
}

// jamMost is how many instances that make room may have failed to be discarded before no more go.
// After the first, others may be on the same lost node, but need not be.
const jamMost = 2

// jammed reports whether so many instances of a source, or of those below a pool, were to make room
// and could not be discarded that another would be lost in vain too.
func (st *stand) jammed(s *source) (bool, error) {
	n := 0
	for _, c := range s.all() {
		r, err := st.d.record(c)
		if err != nil {
			return false, err
		}
		if r.Counts.Discarding == 0 {
			continue
		}
		is, err := st.d.tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Discarding}})
		if err != nil {
			return false, err
		}
		for _, i := range is {
			if i.Attempts > 0 && i.Cause == compute.CauseRoom {
				n++
			}
		}
	}
	return n >= jamMost, nil
}

// give returns the instances that make room for a request. Stopped ones go first.
func (st *stand) give(x inNeed) (out []way, err error) {
	for _, c := range x.s.all() {
		key := st.d.p.keyOf(c)
		if c.Type != poolType && !slices.Contains(x.keys, key) || !slices.Contains(x.w.Wants, key) {
			continue
		}
		is, err := st.idle(c)
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(is, func(a, b *compute.Instance) int { return rank(b.Cold) - rank(a.Cold) })
		n := min(x.n-len(out), len(is))
		if n > 0 {
			if jam, err := st.jammed(c); err != nil {
				return nil, err
			} else if jam {
				continue
			}
		}
		for _, i := range is[:n] {
			out = append(out, way{i, makesRoom(x.w)})
		}
		if n > 0 {
			st.ready[key] = is[n:]
		}
	}
	return out, nil
}

// newDraw returns a draw for looking at the queue inside of a transaction, for no request.
func (p *Pool) newDraw(tx store.Tx) *draw {
	return &draw{p: p, tx: tx, now: time.Now(), records: map[*source]*store.SourceRecord{}}
}

// demandNow returns what the requests that wait now need.
func (p *Pool) demandNow(tx store.Tx) (*waitingFor, error) {
	ws, err := tx.Waiters()
	if err != nil {
		return nil, err
	}
	d := p.newDraw(tx)
	if ws, err = d.living(ws, false); err != nil {
		return nil, err
	}
	l, err := d.line(ws)
	if err != nil {
		return nil, err
	}
	return d.demands(l, false)
}

// inTheWay goes along the queue, and returns the ready instances that are to make room for it.
func (p *Pool) inTheWay(tx store.Tx, d *draw) ([]way, error) {
	ws, err := tx.Waiters()
	if err != nil {
		return nil, err
	}
	if ws, err = d.living(ws, false); err != nil ||
		!slices.ContainsFunc(ws, func(w *compute.Waiter) bool { return wantOfWaiter(w) != want{} }) {
		return nil, err
	}
	l, err := d.line(ws)
	if err != nil {
		return nil, err
	}
	m, err := d.demands(l, true)
	if err != nil {
		return nil, err
	}
	return m.ways, nil
}

// makeWay discards ready instances that would do for no waiting request, as far as one waits for
// room. done says that there were some. It only records them: the work is done with what is due.
func (p *Pool) makeWay(ctx context.Context) (done bool, err error) {
	look := func(tx store.Tx) ([]way, error) { return p.inTheWay(tx, p.newDraw(tx)) }
	err = p.store.View(ctx, func(tx store.Tx) error {
		ways, err := look(tx)
		done = len(ways) > 0
		return err
	})
	if err != nil || !done {
		return false, err
	}
	err = p.store.Update(ctx, func(tx store.Tx) error {
		ways, err := look(tx)
		if err != nil {
			return err
		}
		done = len(ways) > 0
		for _, w := range ways {
			if err := p.toDiscarding(tx, w.inst, w.why); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !done {
		return false, err
	}
	p.step("queue:way")
	p.opt.Left()
	return true, nil
}
