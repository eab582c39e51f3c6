package allocate

import (
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// The instances of a source with `share` are shared: several leases have parts of each. Its living
// leases alone say what is booked. So no booking can outlive its lease, and the transaction that
// gives one more lease decides whether it fits.
//
// The instance is in use from its first lease to the end of its last. Its generation counts these
// times, so leases of one time have the same generation. Older leases are refused by it, and a
// neighbour's never. Within one time the lease's id tells a late caller from a valid one. Hooks of
// acquire and release, checks and cleaning belong to the instance: they run before the first lease
// and after the last.

// part returns what a lease books for a request: one core, unless the request says more.
func part(req compute.Request) compute.Resources {
	p := compute.Resources(sizeOf(req))
	if req.Cores == 0 {
		p.Cores = 1
	}
	return p
}

// chosenPart is an instance that was chosen for some of a request's leases.
type chosenPart struct {
	inst   *compute.Instance
	n      int
	beside bool // other leases have parts of it already
	look   bool // to be looked at before it is handed out
}

// parts places the leases of a request: first on shared instances in use, the fullest first, so
// that others may run empty and go; then on ready ones, then on new ones.
func (d *allocation) parts(s *Source, req compute.Request, lend func(*compute.Instance) *compute.Lease) ([]*Grant, error) {
	p := part(req)
	d.asks.Cores, d.asks.Memory, d.asks.Disk, d.asks.GPUs = p.Cores, p.Memory, p.Disk, p.GPUs
	give := func(i *compute.Instance) *compute.Lease {
		l, booked := lend(i), p
		l.Share = &booked
		return l
	}
	r, err := d.known.record(s)
	if err != nil {
		return nil, err
	}
	var chosen []chosenPart
	left := req.Count
	if !d.fresh && len(d.claims.wanted[r.Key]) == 0 && !UnreachableNow(r, d.view.Now) {
		if chosen, left, err = d.partsBeside(s, r, p, left); err != nil {
			return nil, err
		}
		var ready []chosenPart
		if ready, left, err = d.partsReady(s, r, p, left); err != nil {
			return nil, err
		}
		chosen = append(chosen, ready...)
	}
	d.pending = left > 0 && !d.req.CachedOnly
	for _, c := range chosen {
		d.pending = d.pending || c.look
	}
	var units []*Grant
	for _, c := range chosen {
		units = append(units, d.handParts(s, c, give)...)
	}
	if left > 0 && !d.req.CachedOnly {
		more, err := d.partsNew(s, req, p, left, give)
		if err != nil {
			return nil, err
		}
		units = append(units, more...)
	}
	for _, u := range units {
		u.Waited = d.waited
	}
	return units, nil
}

// looked reports whether a ready instance is checked before it is handed out.
func (d *allocation) looked(i *compute.Instance) bool {
	if d.req.Hooked || i.Cold {
		return true
	}
	fit, told := d.vouched(i)
	return d.req.Checked && !fit && (told || d.view.Now.Sub(i.ReadyAt) > proofLasts)
}

// vouched reports whether an instance is known to be fit without a look. Then its hand-out is
// one transaction, however long it has been ready. told says that a HealthCache would know: if
// fit is false it may just have heard that the computer ended.
func (d *allocation) vouched(i *compute.Instance) (fit, told bool) {
	if d.req.ByHooks {
		return false, false
	}
	for i.Child != "" {
		child, err := d.plan.Instance(i.Child)
		if err != nil || child.Cold {
			return false, false
		}
		i = child
	}
	o := d.view.Provider(i.SourceKey)
	if o == nil || o.Fit == nil {
		return false, false
	}
	return o.Fit(i.ID, i.Facts[provider.FactIdentity]), true
}

// glances is how many instances with room are looked at before all are. The index of free room
// leaves out little: the places for parts without cores, and worn instances.
const glances = 16

// partsBeside chooses among shared instances in use.
func (d *allocation) partsBeside(s *Source, r *store.SourceRecord, p compute.Resources, n int) (out []chosenPart, left int, err error) {
	left = n
	for _, most := range []int{glances, 0} {
		is, err := d.plan.Rooms(r.Key, p, most)
		if err != nil {
			return nil, 0, err
		}
		out, left = nil, n
		for _, i := range is {
			if left == 0 {
				break
			}
			if i.State != compute.Leased {
				continue
			} else if why := s.Expired(i, d.view.Now); why != "" {
				d.view.pass(s, i.ID, why)
				continue
			}
			_, space, err := SpaceOf(d.plan, i)
			if err != nil {
				return nil, 0, err
			} else if space == nil {
				continue
			}
			if k := books(space, p, left); k > 0 {
				out, left = append(out, chosenPart{inst: i, n: k, beside: true}), left-k
			} else {
				d.view.pass(s, i.ID, "what is free of it is less than what is asked for")
			}
		}
		if left == 0 || most == 0 || len(is) < most {
			break
		}
	}
	return out, left, nil
}

// books books up to n parts and returns how many fit.
func books(space *share.Space, p compute.Resources, n int) (k int) {
	for k < n && space.Book(p) {
		k++
	}
	return k
}

// partsReady chooses among ready instances, the oldest first, running ones before cold ones. Those
// too old or too often used are retired.
func (d *allocation) partsReady(s *Source, r *store.SourceRecord, p compute.Resources, n int) (out []chosenPart, left int, err error) {
	if n == 0 {
		return nil, 0, nil
	}
	for most := n; ; most *= 2 {
		picks, err := d.plan.Pick(r.Key, most)
		if err != nil {
			return nil, 0, err
		}
		out, left = nil, n
		for _, cold := range []bool{false, true} {
			if cold && len(picks) == most {
				break // there may be more running ones
			}
			for _, i := range picks {
				if left == 0 {
					break
				}
				if i.State != compute.Ready || i.Cold != cold || d.passOver(i) {
					continue
				}
				if why, err := Expired(d.plan, d.view.ByName, s, i, d.view.Now); err != nil {
					return nil, 0, err
				} else if why != "" {
					d.changed = true
					d.expired = append(d.expired, i.ID)
					d.view.pass(s, i.ID, why)
					d.plan.discard(i, Because(why))
					continue
				}
				has, known, err := AmountOf(d.plan, i)
				if err != nil {
					return nil, 0, err
				} else if !known {
					d.view.pass(s, i.ID, "its size is not known")
					d.known.paused = append(d.known.paused, SizeUnknown(i.ID))
					continue
				}
				if k := books(share.Of(has), p, left); k > 0 {
					out, left = append(out, chosenPart{inst: i, n: k, look: d.looked(i) || Unreachable(r)}), left-k
				} else {
					d.view.pass(s, i.ID, whyNot(i, true, false, false))
				}
			}
		}
		if left == 0 || len(picks) < most {
			return out, left, nil
		}
	}
}

func SizeUnknown(id compute.ID) error {
	return &compute.Error{ID: id, Kind: compute.ErrInvalid,
		Err:  errors.New("its source has `share`, and it does not tell how many cores it has"),
		Hint: "leave `share` out of its source.conf: leases then have whole instances"}
}

// handParts gives leases on a chosen instance.
func (d *allocation) handParts(s *Source, c chosenPart, give func(*compute.Instance) *compute.Lease) []*Grant {
	d.changed = true
	var first *Grant
	var units []*Grant
	for range c.n {
		u := &Grant{Source: s, Instance: c.inst, Lease: give(c.inst), Host: first, Waited: d.waited}
		if c.beside || first != nil {
			u.Joins = true
			d.plan.handPart(u, d.pending)
		} else {
			u.Verify = c.look
			d.plan.hand(u, d.pending)
			first = u
		}
		units = append(units, u)
	}
	return units
}

// partsNew records new instances for the leases that found no room, each for as many as those
// before it had room for.
func (d *allocation) partsNew(
	s *Source, req compute.Request, p compute.Resources, left int, give func(*compute.Instance) *compute.Lease,
) ([]*Grant, error) {
	usual, err := d.usual(s, p, left)
	if err != nil {
		return nil, err
	}
	var units []*Grant
	for left > 0 {
		if d.changed {
			delete(d.known.records, s)
		}
		r, err := d.known.record(s)
		if err != nil {
			return nil, err
		}
		can, err := d.available(s)
		if err != nil {
			return nil, err
		}
		if !d.fresh && !d.claims.taken(r.Key) {
			can -= r.Counts.Ready // these were tried already
		}
		each := usual
		if each == 0 { // not known: one each, as long as there is room for so many
			each = max(1, (left+can-1)/max(1, can))
		}
		hosts := (left + each - 1) / each
		if can < hosts {
			return nil, d.short(s, req.Count, req.Count-left+max(0, can)*each)
		}
		var made []*Grant
		if s.Type == PoolType {
			made, err = d.fromChildren(s, hosts, give)
		} else {
			made, err = d.fromNothing(s, r, hosts, give)
		}
		if err != nil {
			return nil, err
		}
		if len(made) == 0 {
			return nil, d.short(s, req.Count, req.Count-left)
		}
		for k, u := range made {
			most := left - (len(made) - 1 - k) // each of those that follow has a lease already
			n := min(each, most)
			if !u.Fresh { // a machine that needs no making, or a ready child
				has, known, err := AmountOf(d.plan, u.Instance)
				if err != nil {
					return nil, err
				} else if !known {
					return nil, SizeUnknown(u.Instance.ID)
				}
				if n = books(share.Of(has), p, most); n == 0 {
					return nil, SmallerThan(u.Instance.ID, has, p)
				}
			}
			units, left = append(units, u), left-1
			for range n - 1 {
				v := &Grant{Source: s, Instance: u.Instance, Lease: give(u.Instance), Host: u, Joins: true, Waited: d.waited}
				if !u.Fresh {
					d.plan.handPart(v, d.pending)
				}
				units, left = append(units, v), left-1
			}
			// all of them count while it is made
			if b := &u.Instance.Booked.Holds; u.Fresh && n > 1 {
				one := *b
				for range n - 1 {
					*b = b.Add(one)
				}
			}
		}
	}
	return units, nil
}

// mayFit reports, cheaply and without changes, whether a waiting request may find room now. The
// attempt decides.
func (d *allocation) mayFit(s *Source, w *inventory.Waiter) (bool, error) {
	n, err := d.available(s)
	if err != nil || n > 0 {
		return true, err
	}
	r, err := d.known.record(s)
	if err != nil {
		return false, err
	}
	_, left, err := d.partsBeside(s, r, part(compute.Request{Cores: w.Cores, Memory: w.Memory, Disk: w.Disk}), w.Count)
	return left == 0, err
}

// usual returns how many of up to n parts of a size fit on an instance of a source, judging by
// those that it has; 0 if it has none that tells.
func (d *allocation) usual(s *Source, p compute.Resources, n int) (int, error) {
	if n == 1 {
		return 1, nil
	}
	for _, c := range s.All() {
		r, err := d.known.record(c)
		if err != nil {
			return 0, err
		}
		is, err := d.plan.Instances(inventory.InstanceQuery{SourceKey: r.Key, Limit: glances})
		if err != nil {
			return 0, err
		}
		for _, i := range is {
			has, known, err := AmountOf(d.plan, i)
			if err != nil {
				return 0, err
			} else if known {
				return max(1, books(share.Of(has), p, n)), nil
			}
		}
		if has, known := d.view.MadeLast(r.Key); known && !d.asks.Chosen() {
			return max(1, books(share.Of(has), p, n)), nil
		}
	}
	return 0, nil
}

// AmountOf returns the size of an instance, or of the real one behind it. known is false if its
// cores are not known.
func AmountOf(r Reader, i *compute.Instance) (has compute.Resources, known bool, err error) {
	for i.Child != "" {
		child, err := r.Instance(i.Child)
		if errors.Is(err, compute.ErrNotFound) {
			return has, false, nil
		} else if err != nil {
			return has, false, err
		}
		i = child
	}
	has, known = share.SizeOf(i.Facts)
	return has, known, nil
}

// SpaceOf returns the leases on an instance, and what they have booked of it. The space is nil
// where no part can be given: the size is not known, or one lease has all of it.
func SpaceOf(r Reader, i *compute.Instance) ([]*compute.Lease, *share.Space, error) {
	ls, err := r.Leases(inventory.LeaseQuery{Instance: i.ID})
	if err != nil {
		return nil, nil, err
	}
	has, known, err := AmountOf(r, i)
	if err != nil || !known {
		return ls, nil, err
	}
	space := share.Of(has)
	for _, l := range ls {
		if l.Share == nil {
			return ls, nil, nil
		}
		space.Add(*l.Share)
	}
	return ls, space, nil
}

// SmallerThan says that an instance is smaller than a part that was to be booked of it.
func SmallerThan(id compute.ID, has, part compute.Resources) error {
	return &compute.Error{
		ID: id, Kind: compute.ErrNoCapacity, Err: &TooSmallError{fmt.Sprintf("it has %v, and %v is asked for", has, part)},
		Hint: "ask for less, or another source",
	}
}
