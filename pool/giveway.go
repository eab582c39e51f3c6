package pool

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Requests that want what nothing that is kept ready is, as more memory or another image, have it
// made when their turn comes; nothing is made ahead in their stead. Where a source has all that it
// may have, what stands ready of it and would do for nobody who waits goes, and makes room: one for
// each instance that is waited for.

// demand is what those who wait need, beside what stands ready for them.
type demand struct {
	plain  map[string]int // by the names of sources: of what is kept ready
	own    map[string]int // of something else, which can be made as far as is known
	spoken map[int64]int  // by the records of sources: places for the latter
	ways   []way
}

// way is a ready instance that is to make room.
type way struct {
	inst *compute.Instance
	why  string
}

// makesRoom begins the reason to discard one.
const makesRoom = "it makes room for somebody who waits for "

// inNeed is a request that has not enough, and may be given room.
type inNeed struct {
	w    *compute.Waiter
	s    *source
	n    int
	keys []int64 // of sources that may give it some
}

// demands goes along the queue. ways: it also finds what is to make room.
func (d *draw) demands(l *line, ways bool) (*demand, error) {
	m := &demand{plain: map[string]int{}, own: map[string]int{}, spoken: map[int64]int{}}
	st := &stand{d: d, ready: map[int64][]*compute.Instance{}, coming: map[int64]int{}, closed: map[int64]bool{}}
	var needy []inNeed
	for _, w := range l.ordered {
		if l.over(w) != nil { // to what is made now a quota does not let it come
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
		if ways && !asked.chosen() {
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
		if own { // what comes free next is for it
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

// serves tells whether what a source keeps ready does for a want, as far as is known.
func (d *draw) serves(s *source, asked want) bool {
	if asked.chosen() {
		return false
	}
	return slices.ContainsFunc(s.all(), func(c *source) bool {
		if c.Type == poolType {
			return false
		}
		w := asked.of(c)
		w.Price = 0 // whom it is too dear does not wait for it
		has, known := d.p.learnt(d.p.keyOf(c))
		return w == want{} ||
			known && has.Micro() >= compute.Amount(w.size()).Micro() && has.Memory >= w.Memory && has.Disk >= w.Disk && has.GPUs >= w.GPUs
	})
}

// gives tells whether a source, or one below a pool, makes other instances in place of those that
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

// mayGive tells whether something of a source may go for a want: another would be made in its
// place, and nothing is known by which that would be in vain.
func (d *draw) mayGive(s *source, asked want) (bool, error) {
	r, err := d.record(s)
	if err != nil || !d.gives(r.Key) || r.Paused.After(d.now) || !d.p.affords(s, asked.Price) {
		return false, err
	}
	asks := asked.of(s)
	if d.isTrying(s, r, asks) {
		return false, nil
	}
	h, err := d.hitch(r.Key, asks)
	return h == nil || h.Failures > -breakAt || d.now.Sub(h.Paused) > pauseMost, err
}

// inVainFor notes that what was made for a want did not do for it, so that nothing that stands
// ready goes for that for a while. Who asks is told at once, each time.
func (p *Pool) inVainFor(tx compute.Tx, key int64, u *unit) error {
	if !u.fresh || u.child != nil || u.asks == (want{}) || u.asks.Price != 0 {
		return nil
	}
	all, err := readHitches(tx, key)
	if err != nil {
		return err
	}
	now := time.Now()
	all = slices.DeleteFunc(all, func(h hitch) bool { return h.Want == u.asks })
	return saveHitches(tx, key, append(all, hitch{Want: u.asks, Failures: -breakAt, Paused: now, LastError: causeOf(u.err)}), now)
}

// stand is what of sources is there for those who wait, as one goes along the queue.
type stand struct {
	d      *draw
	ready  map[int64][]*compute.Instance
	coming map[int64]int
	closed map[int64]bool // what is ready goes to those who come later no more
}

// idle are the ready instances of a source that nobody before has.
func (st *stand) idle(s *source) ([]*compute.Instance, error) {
	d := st.d
	r, err := d.record(s)
	if err != nil {
		return nil, err
	}
	is, known := st.ready[r.Key]
	// of so many some will do
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
			lacks, err := asked.size().lackedBy(st.d.tx, i)
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

// jamMost is how many instances that were to make room may be there still after their discarding
// has failed, before no more go. With the first others may stand on the same lost node, but need
// not.
const jamMost = 2

// jammed tells whether so many instances of a source, or of those below a pool, were to make room
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
			if i.Attempts > 0 && strings.HasPrefix(i.Reason, makesRoom) {
				n++
			}
		}
	}
	return n >= jamMost, nil
}

// give finds what makes room for a request. Stopped ones go before others.
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
			out = append(out, way{i, makesRoom + wantOfWaiter(x.w).String()})
		}
		if n > 0 {
			st.ready[key] = is[n:]
		}
	}
	return out, nil
}

// newDraw is for looking at the queue inside of a transaction, for nobody in particular.
func (p *Pool) newDraw(tx compute.Tx) *draw {
	return &draw{p: p, tx: tx, now: time.Now(), records: map[*source]*compute.SourceRecord{}}
}

// demandNow is what those need who wait now.
func (p *Pool) demandNow(tx compute.Tx) (*demand, error) {
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

// inTheWay goes along the queue as it stands, and finds what is to make room for those who wait.
func (p *Pool) inTheWay(tx compute.Tx, d *draw) ([]way, error) {
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

// makeWay sends what stands ready and would do for nobody who waits to its end, as far as somebody
// waits for room; done tells that there was some. What it is at is for who works on what is due.
func (p *Pool) makeWay(ctx context.Context) (done bool, err error) {
	look := func(tx compute.Tx) ([]way, error) { return p.inTheWay(tx, p.newDraw(tx)) }
	err = p.store.View(ctx, func(tx compute.Tx) error {
		ways, err := look(tx)
		done = len(ways) > 0
		return err
	})
	if err != nil || !done {
		return false, err
	}
	err = p.store.Update(ctx, func(tx compute.Tx) error {
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
