package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
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
func part(req compute.Request) compute.Amount {
	p := compute.Amount(sizeOf(req))
	if req.Cores == 0 {
		p.Cores = 1
	}
	return p
}

// spot is an instance that was chosen for some of a request's leases.
type spot struct {
	inst   *compute.Instance
	n      int
	beside bool // other leases have parts of it already
	look   bool // to be looked at before it is handed out
}

// seats places the leases of a request: first on shared instances in use, the fullest first, so
// that others may run empty and go; then on ready ones, then on new ones.
func (d *draw) seats(s *source, req compute.Request, lend func(*compute.Instance) *compute.Lease) ([]*unit, error) {
	p := part(req)
	d.least = size(p)
	d.asks = wantOf(d.least, d.choice, d.most)
	give := func(i *compute.Instance) *compute.Lease {
		l, booked := lend(i), p
		l.Share = &booked
		return l
	}
	r, err := d.record(s)
	if err != nil {
		return nil, err
	}
	var chosen []spot
	left := req.Count
	if !d.fresh && len(d.wanted[r.Key]) == 0 && !away(r, d.now) {
		if chosen, left, err = d.seatsBeside(s, r, p, left); err != nil {
			return nil, err
		}
		var ready []spot
		if ready, left, err = d.seatsReady(s, r, p, left); err != nil {
			return nil, err
		}
		chosen = append(chosen, ready...)
	}
	d.pending = left > 0 && !d.cached
	for _, c := range chosen {
		d.pending = d.pending || c.look
	}
	var units []*unit
	for _, c := range chosen {
		more, err := d.settleOn(s, c, give)
		if err != nil {
			return nil, err
		}
		units = append(units, more...)
	}
	if left > 0 && !d.cached {
		more, err := d.seatsNew(s, req, p, left, give)
		if err != nil {
			return nil, err
		}
		units = append(units, more...)
	}
	for _, u := range units {
		u.waited = d.waited
	}
	return units, nil
}

// looked reports whether a ready instance is checked before it is handed out.
func (d *draw) looked(i *compute.Instance) bool {
	if d.hooked || i.Cold {
		return true
	}
	fit, told := d.vouched(i)
	return d.checked && !fit && (told || d.now.Sub(i.ReadyAt) > proofLasts)
}

// vouched reports whether an instance is known to be fit without a look. Then its hand-out is one
// transaction, however long it has been ready. told says that a Witness would know: if fit is false
// it may just have heard that the computer ended.
func (d *draw) vouched(i *compute.Instance) (fit, told bool) {
	if d.byHooks {
		return false, false
	}
	for i.Child != "" {
		child, err := d.tx.Instance(i.Child)
		if err != nil || child.Cold {
			return false, false
		}
		i = child
	}
	o := d.p.ready(i.SourceKey)
	if o == nil || o.witness == nil {
		return false, false
	}
	return o.witness.Fit(i.ID, i.Facts[compute.FactIdentity]), true
}

// glances is how many instances with room are looked at before all are. The index of free room
// leaves out little: the places for parts without cores, and worn instances.
const glances = 16

// seatsBeside chooses among shared instances in use.
func (d *draw) seatsBeside(s *source, r *store.SourceRecord, p compute.Amount, n int) (out []spot, left int, err error) {
	left = n
	for _, most := range []int{glances, 0} {
		is, err := d.tx.Rooms(r.Key, p, most)
		if err != nil {
			return nil, 0, err
		}
		out, left = nil, n
		for _, i := range is {
			if left == 0 {
				break
			}
			if i.State != compute.Leased || s.worn(i, d.now) != "" {
				continue
			}
			_, space, err := d.p.space(d.tx, i)
			if err != nil {
				return nil, 0, err
			} else if space == nil {
				continue
			}
			if k := books(space, p, left); k > 0 {
				out, left = append(out, spot{inst: i, n: k, beside: true}), left-k
			}
		}
		if left == 0 || most == 0 || len(is) < most {
			break
		}
	}
	return out, left, nil
}

// books books up to n parts and returns how many fit.
func books(space *share.Space, p compute.Amount, n int) (k int) {
	for k < n && space.Book(p) {
		k++
	}
	return k
}

// seatsReady chooses among ready instances, the oldest first, running ones before cold ones. Those
// too old or too often used are retired.
func (d *draw) seatsReady(s *source, r *store.SourceRecord, p compute.Amount, n int) (out []spot, left int, err error) {
	if n == 0 {
		return nil, 0, nil
	}
	for most := n; ; most *= 2 {
		picks, err := d.tx.Pick(r.Key, most)
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
				if why, err := d.p.wornOut(d.tx, s, i, d.now); err != nil {
					return nil, 0, err
				} else if why != "" {
					d.wrote = true
					d.worn = append(d.worn, i.ID)
					if err := d.p.toDiscarding(d.tx, i, because(why)); err != nil {
						return nil, 0, err
					}
					continue
				}
				has, known, err := d.p.amount(d.tx, i)
				if err != nil {
					return nil, 0, err
				} else if !known {
					d.paused = append(d.paused, errNoSize(i.ID))
					continue
				}
				if k := books(share.Of(has), p, left); k > 0 {
					out, left = append(out, spot{inst: i, n: k, look: d.looked(i) || doubted(r)}), left-k
				}
			}
		}
		if left == 0 || len(picks) < most {
			return out, left, nil
		}
	}
}

func errNoSize(id compute.ID) error {
	return &compute.Error{ID: id, Kind: compute.ErrInvalid,
		Err:  errors.New("its source has `share`, and it does not tell how many cores it has"),
		Hint: "leave `share` out of its source.conf: leases then have whole instances"}
}

// settleOn gives leases on a chosen instance.
func (d *draw) settleOn(s *source, c spot, give func(*compute.Instance) *compute.Lease) ([]*unit, error) {
	d.wrote = true
	var first *unit
	var units []*unit
	for range c.n {
		u := &unit{src: s, inst: c.inst, lease: give(c.inst), host: first, waited: d.waited}
		var err error
		if c.beside || first != nil {
			u.joins = true
			err = d.p.handPart(d.tx, u, d.pending)
		} else {
			u.look = c.look
			err = d.p.hand(d.tx, u, d.pending)
			first = u
		}
		if err != nil {
			return nil, err
		}
		units = append(units, u)
	}
	return units, nil
}

// seatsNew records new instances for the leases that found no room, each for as many as those
// before it had room for.
func (d *draw) seatsNew(
	s *source, req compute.Request, p compute.Amount, left int, give func(*compute.Instance) *compute.Lease,
) ([]*unit, error) {
	usual, err := d.usual(s, p, left)
	if err != nil {
		return nil, err
	}
	var units []*unit
	for left > 0 {
		if d.wrote {
			delete(d.records, s)
		}
		r, err := d.record(s)
		if err != nil {
			return nil, err
		}
		can, err := d.available(s)
		if err != nil {
			return nil, err
		}
		if !d.fresh && !d.shut(r.Key) {
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
		var made []*unit
		if s.Type == poolType {
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
			if !u.fresh { // a machine that needs no making, or a ready child
				has, known, err := d.p.amount(d.tx, u.inst)
				if err != nil {
					return nil, err
				} else if !known {
					return nil, errNoSize(u.inst.ID)
				}
				if n = books(share.Of(has), p, most); n == 0 {
					return nil, errLess(u.inst.ID, has, p)
				}
			}
			units, left = append(units, u), left-1
			for range n - 1 {
				v := &unit{src: s, inst: u.inst, lease: give(u.inst), host: u, joins: true, waited: d.waited}
				if !u.fresh {
					if err := d.p.handPart(d.tx, v, d.pending); err != nil {
						return nil, err
					}
				}
				units, left = append(units, v), left-1
			}
			if b := &u.inst.Booked.Holds; u.fresh && n > 1 { // all of them count while it is made
				one := *b
				for range n - 1 {
					*b = b.Add(one)
				}
				if err := d.tx.SaveInstance(u.inst); err != nil {
					return nil, err
				}
			}
		}
	}
	return units, nil
}

// mayFit reports, cheaply and without changes, whether a waiting request may find room now. The
// attempt decides.
func (d *draw) mayFit(s *source, w *compute.Waiter) (bool, error) {
	n, err := d.available(s)
	if err != nil || n > 0 {
		return true, err
	}
	r, err := d.record(s)
	if err != nil {
		return false, err
	}
	_, left, err := d.seatsBeside(s, r, part(compute.Request{Cores: w.Cores, Memory: w.Memory, Disk: w.Disk}), w.Count)
	return left == 0, err
}

// usual returns how many of up to n parts of a size fit on an instance of a source, judging by
// those that it has; 0 if it has none that tells.
func (d *draw) usual(s *source, p compute.Amount, n int) (int, error) {
	if n == 1 {
		return 1, nil
	}
	for _, c := range s.all() {
		r, err := d.record(c)
		if err != nil {
			return 0, err
		}
		is, err := d.tx.Instances(compute.InstanceQuery{SourceKey: r.Key, Limit: glances})
		if err != nil {
			return 0, err
		}
		for _, i := range is {
			has, known, err := d.p.amount(d.tx, i)
			if err != nil {
				return 0, err
			} else if known {
				return max(1, books(share.Of(has), p, n)), nil
			}
		}
		if has, known := d.p.learnt(r.Key); known && d.choice == (choice{}) {
			return max(1, books(share.Of(has), p, n)), nil
		}
	}
	return 0, nil
}

// amount returns the size of an instance, or of the real one behind it. known is false if its cores
// are not known.
func (p *Pool) amount(tx store.Tx, i *compute.Instance) (has compute.Amount, known bool, err error) {
	for i.Child != "" {
		child, err := tx.Instance(i.Child)
		if errors.Is(err, compute.ErrNotFound) {
			return has, false, nil
		} else if err != nil {
			return has, false, err
		}
		i = child
	}
	has, known = compute.AmountOf(i.Facts)
	return has, known, nil
}

// space returns the leases on an instance, and what they have booked of it. The space is nil where
// no part can be given: the size is not known, or one lease has all of it.
func (p *Pool) space(tx store.Tx, i *compute.Instance) ([]*compute.Lease, *share.Space, error) {
	ls, err := tx.Leases(compute.LeaseQuery{Instance: i.ID})
	if err != nil {
		return nil, nil, err
	}
	has, known, err := p.amount(tx, i)
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

// handPart gives a lease on a shared instance.
func (p *Pool) handPart(tx store.Tx, u *unit, pending bool) error {
	i, l := u.inst, u.lease
	i.Uses++
	if err := tx.SaveInstance(i); err != nil {
		return err
	}
	l.Generation = i.Generation
	var err error
	if l.Holds, err = p.count(tx, u, l); err != nil {
		return err
	}
	if pending {
		l.Worker = p.store.Worker()
	}
	data := u.told()
	data[beside] = "yes"
	e := compute.Event{
		Time: time.Now(), Kind: string(compute.Leased), Source: i.Source, Instance: i.ID, Lease: l.ID, Owner: l.Owner,
		Project: l.Project, Text: l.Purpose, Data: data,
	}
	if _, err := tx.Append(&e); err != nil {
		return err
	}
	return tx.InsertLease(l)
}

// beside marks events of leases that began or ended while other leases had parts of the instance:
// it did not change hands.
const beside = "beside"

// reroom updates what is free on the instances of units that book parts.
func (p *Pool) reroom(tx store.Tx, units []*unit) error {
	seen := map[compute.ID]bool{}
	for _, u := range units {
		if u.lease == nil || u.lease.Share == nil || seen[u.inst.ID] {
			continue
		}
		seen[u.inst.ID] = true
		if err := p.reroomOf(tx, u.inst); err != nil {
			return err
		}
	}
	return nil
}

// reroomOf notes what is free on an instance that others may share, once one of its leases has been
// handed over. Before that it may turn out not to be fit.
func (p *Pool) reroomOf(tx store.Tx, i *compute.Instance) error {
	if i.Row == 0 {
		return nil // not recorded yet
	}
	ls, space, err := p.space(tx, i)
	if err != nil {
		return err
	}
	told := false
	for _, l := range ls {
		told = told || l.Worker == 0
	}
	if space == nil || !told {
		return tx.SetRoom(i, nil)
	}
	free := space.Free()
	return tx.SetRoom(i, &free)
}

// confirmShare confirms a lease on a shared instance. The size of a new instance is known only now.
func (p *Pool) confirmShare(tx store.Tx, u *unit, now time.Time) error {
	if u.host == nil || !u.host.fresh {
		l, err := tx.Lease(u.lease.ID)
		if err != nil {
			return err
		}
		if !l.Ended.IsZero() {
			return &compute.Error{ID: l.Instance, Kind: compute.ErrStale, Err: fmt.Errorf("its lease has ended meanwhile: %s", l.Why)}
		}
		u.lease.Worker, u.lease.Used = 0, now
		return tx.SaveLease(u.lease)
	}
	_, space, err := p.space(tx, u.inst)
	if err != nil {
		return err
	}
	if space == nil || !space.Has(*u.lease.Share) {
		return &compute.Error{
			ID: u.inst.ID, Kind: compute.ErrNoCapacity,
			Err: errors.New("it has less than those before it had, so not all that was asked for fits on it"),
		}
	}
	begin(u.lease, now)
	return p.handPart(tx, u, false)
}

// begin sets a lease's beginning to now.
func begin(l *compute.Lease, now time.Time) {
	l.Given, l.Used = now, now
	if l.TTL > 0 {
		l.Expires = now.Add(l.TTL)
	}
}

// measure completes the size of a new instance of a source with `share`, by asking the computer
// itself.
func (p *Pool) measure(ctx context.Context, u *unit) error {
	facts := u.inst.Facts
	var err error
	if o := p.ready(u.inst.SourceKey); o != nil && (facts["cores"] == "" || facts["memory"] == "" || facts["disk"] == "") {
		err = p.ask(ctx, o, u.inst)
	}
	has, known := compute.AmountOf(u.inst.Facts)
	if !known {
		return errors.Join(errNoSize(u.inst.ID), err)
	}
	p.learnSize(u)
	if least := compute.Amount(u.least); !share.Of(has).Has(least) {
		return errLess(u.inst.ID, has, least)
	}
	return nil
}

// errLess says that an instance is smaller than a part that was to be booked of it.
func errLess(id compute.ID, has, part compute.Amount) error {
	return &compute.Error{
		ID: id, Kind: compute.ErrNoCapacity, Err: &errSmall{fmt.Sprintf("it has %v, and %v is asked for", has, part)},
		Hint: "ask for less, or another source",
	}
}

// holds checks that the first part fits a new instance, now that its size is known. The instance
// may rest on a child that was ready and was never measured.
func (p *Pool) holds(tx store.Tx, u *unit) error {
	if u.lease.Share == nil {
		return nil
	}
	has, known, err := p.amount(tx, u.inst)
	switch {
	case err != nil:
		return err
	case !known:
		return errNoSize(u.inst.ID)
	case !share.Of(has).Has(*u.lease.Share):
		return errLess(u.inst.ID, has, *u.lease.Share)
	}
	return nil
}

// ask fills in facts that an instance's provider did not give.
func (p *Pool) ask(ctx context.Context, o *opened, i *compute.Instance) error {
	return await(ctx, bootPatience, time.Time{}, func(ctx context.Context) error {
		c, err := o.provider.Connect(ctx, i.ID)
		if err != nil {
			return err
		}
		defer c.Close()
		inf, ok := compute.As[compute.Informer](c)
		if !ok {
			return nil
		}
		f, err := inf.Facts(ctx)
		if err != nil {
			return err
		}
		facts := map[string]string{}
		for name, n := range map[string]int64{"cores": int64(f.Cores), "memory": f.Memory, "disk": f.Disk} {
			if n > 0 {
				facts[name] = fmt.Sprint(n)
			}
		}
		for name, v := range i.Facts {
			facts[name] = v
		}
		i.Facts = facts
		return nil
	})
}
