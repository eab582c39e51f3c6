package allocate

import (
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/demand"
)

// A request may want something that no ready instance has, such as more memory or another image. It
// has it made when its turn comes; nothing is made ahead in its stead. Where the source is at its
// maximum, one ready instance for each that is waited for makes room. Only ready instances that
// would do for no waiting request go.

// Needs is what waiting requests need beside the ready instances that will do for them.
type Needs struct {
	AsKept   map[string]int // by source name: instances as the source keeps them ready
	Other    map[string]int // of other instances, which can be made as far as is known
	reserved map[int64]int  // by source record: places for own
	victims  []Victim
}

// Victim is a ready instance that is to make room.
type Victim struct {
	Instance *compute.Instance
	Why      Reason
}

// makesRoom is the reason to discard such an instance.
func makesRoom(w *inventory.Waiter) Reason {
	return Reason{inventory.CauseRoom, "it makes room for somebody who waits for " + DemandOfWaiter(w).String()}
}

// needy is a request that lacks instances, and may be given room.
type needy struct {
	w    *inventory.Waiter
	s    *Source
	n    int
	keys []int64 // the sources that may give it room
}

// demands goes along the queue and sums what it needs. ways: it also finds what is to make room.
func (d *allocation) demands(l *queueView, ways bool) (*Needs, error) {
	m := &Needs{AsKept: map[string]int{}, Other: map[string]int{}, reserved: map[int64]int{}}
	st := &supply{d: d, ready: map[int64][]*compute.Instance{}, coming: map[int64]int{}, closed: map[int64]bool{}}
	var lacking []needy
	for _, w := range l.ordered {
		if l.overQuota(w) != nil { // a quota keeps it from instances that are made now
			continue
		}
		s := d.view.ByName[w.Source]
		if s == nil || s.Err != nil || s.Share {
			m.AsKept[w.Source] += w.Count
			continue
		}
		asked, stuck := DemandOfWaiter(w), d.known.feasibilities(w)
		own := !d.known.serves(s, asked)
		hope := stuck == nil ||
			slices.ContainsFunc(s.All(), func(c *Source) bool { return c.Type != PoolType && stuck[d.view.KeyOf(c)] == feasible })
		if !own {
			m.AsKept[w.Source] += w.Count
		} else if hope {
			m.Other[w.Source] += w.Count
		}
		n := w.Count
		if ways && !asked.Chosen() {
			got, err := st.take(s, w, asked, n)
			if err != nil {
				return nil, err
			}
			n -= got
		}
		need := needy{w: w, s: s}
		for _, c := range s.All() {
			key := d.view.KeyOf(c)
			if n == 0 || key == 0 || c.Type == PoolType || stuck[key] != feasible || !slices.Contains(w.Wants, key) {
				continue
			}
			got, err := st.room(c, n)
			if err != nil {
				return nil, err
			}
			n -= got
			if own {
				m.reserved[key] += got
			}
			if may, err := d.known.mayMakeRoom(c, asked); err != nil {
				return nil, err
			} else if may {
				need.keys = append(need.keys, key)
			}
		}
		if need.n = n; n == 0 || len(need.keys) == 0 {
			continue
		}
		if own { // the next free instance is for it
			m.reserved[need.keys[0]] += n
		}
		lacking = append(lacking, need)
		for _, c := range s.All() {
			st.closed[d.view.KeyOf(c)] = st.closed[d.view.KeyOf(c)] || w.Passed >= patience
		}
	}
	if !ways {
		return m, nil
	}
	for _, x := range lacking {
		out, err := st.victims(x)
		if err != nil {
			return nil, err
		}
		m.victims = append(m.victims, out...)
	}
	return m, nil
}

// supply is what sources still have for waiting requests, as inTheWay goes along the queue.
type supply struct {
	d      *allocation
	ready  map[int64][]*compute.Instance
	coming map[int64]int
	closed map[int64]bool // later requests get no ready instance of it
}

// idle returns the ready instances of a source that no earlier request gets.
func (st *supply) idle(s *Source) ([]*compute.Instance, error) {
	d := st.d
	r, err := d.known.record(s)
	if err != nil {
		return nil, err
	}
	is, known := st.ready[r.Key]
	// among so many some will do
	if known || r.Counts.Ready == 0 || r.Counts.Ready > Many || UnreachableNow(r, d.view.Now) {
		return is, nil
	}
	all, err := d.plan.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready}})
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
func (st *supply) take(s *Source, w *inventory.Waiter, asked demand.Demand, n int) (got int, err error) {
	for _, c := range s.All() {
		key := st.d.view.KeyOf(c)
		if key == 0 || st.closed[key] || !slices.Contains(w.Wants, key) {
			continue
		}
		is, err := st.idle(c)
		if err != nil {
			return got, err
		}
		var left []*compute.Instance
		for _, i := range is {
			lacks, err := lackedBy(st.d.plan, asked.Amount(), i)
			if err != nil {
				return got, err
			}
			dear := false
			if !lacks && asked.Price > 0 {
				if dear, err = st.d.known.tooExpensive(i, asked.Price); err != nil {
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
func (st *supply) room(s *Source, n int) (int, error) {
	d := st.d
	r, err := d.known.record(s)
	if err != nil {
		return 0, err
	}
	has, known := st.coming[r.Key]
	if !known {
		if has = d.known.below(s, r); has < unlimited && r.Counts.Discarding > 0 {
			is, err := d.plan.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Discarding}})
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
func (st *supply) jammed(s *Source) (bool, error) {
	n := 0
	for _, c := range s.All() {
		r, err := st.d.known.record(c)
		if err != nil {
			return false, err
		}
		if r.Counts.Discarding == 0 {
			continue
		}
		is, err := st.d.plan.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Discarding}})
		if err != nil {
			return false, err
		}
		for _, i := range is {
			if i.Attempts > 0 && i.Cause == inventory.CauseRoom {
				n++
			}
		}
	}
	return n >= jamMost, nil
}

// victims returns the instances that make room for a request. Stopped ones go first.
func (st *supply) victims(x needy) (out []Victim, err error) {
	for _, c := range x.s.All() {
		key := st.d.view.KeyOf(c)
		if c.Type != PoolType && !slices.Contains(x.keys, key) || !slices.Contains(x.w.Wants, key) {
			continue
		}
		is, err := st.idle(c)
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(is, func(a, b *compute.Instance) int {
			switch {
			case a.Cold == b.Cold:
				return 0
			case a.Cold:
				return -1
			}
			return 1
		})
		n := min(x.n-len(out), len(is))
		if n > 0 {
			if jam, err := st.jammed(c); err != nil {
				return nil, err
			} else if jam {
				continue
			}
		}
		for _, i := range is[:n] {
			out = append(out, Victim{i, makesRoom(x.w)})
		}
		if n > 0 {
			st.ready[key] = is[n:]
		}
	}
	return out, nil
}

// Demands returns what the requests that wait now need.
func Demands(v *View) (*Needs, error) {
	ws, err := v.Waiters()
	if err != nil {
		return nil, err
	}
	d := newAllocation(v)
	l, err := d.queueView(d.living(ws, false))
	if err != nil {
		return nil, err
	}
	return d.demands(l, false)
}

// Victims goes along the queue, and returns the ready instances that are to make room for it.
func Victims(v *View) ([]Victim, error) {
	ws, err := v.Waiters()
	if err != nil {
		return nil, err
	}
	d := newAllocation(v)
	ws = d.living(ws, false)
	if !slices.ContainsFunc(ws, func(w *inventory.Waiter) bool { return DemandOfWaiter(w) != demand.Demand{} }) {
		return nil, nil
	}
	l, err := d.queueView(ws)
	if err != nil {
		return nil, err
	}
	m, err := d.demands(l, true)
	if err != nil {
		return nil, err
	}
	return m.victims, nil
}
