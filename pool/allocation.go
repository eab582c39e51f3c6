package pool

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

// unit is one instance on its way to a request, with the child's behind it where a pool drew a new
// one.
type unit struct {
	src   *source
	inst  *compute.Instance
	lease *compute.Lease // the user's, or at a child the pool's
	child *unit
	fresh bool // recorded, and to be made
	look  bool // to be looked at before it is handed out
	// it is a part of an instance that others share or will share: host, where that is not in use
	// yet
	joins  bool
	host   *unit
	least  size    // the least that the instance must have
	most   float64 // that it may cost for an hour; 0: anything
	choice choice  // what it is to be made of
	asks   want    // the same, but for what all of its source have anyway
	image  string  // the promoted image that it is made from; "": its source's, or the chosen one
	made   string  // the template that it is made of; "": not told
	// The computer is asked for its size, where its provider does not tell it.
	measured bool

	waited time.Duration // its request's time in the queue, for the journal
	until  time.Time     // until when it may wait for room; zero: no limit
	err    error
}

// each calls f for the unit and those behind it, the innermost first.
func (u *unit) each(f func(*unit) error) error {
	if u.child != nil {
		if err := u.child.each(f); err != nil {
			return err
		}
	}
	return f(u)
}

// draw takes instances for one request inside of one transaction.
type draw struct {
	p       *Pool
	tx      store.Tx
	now     time.Time
	cached  bool            // take ready instances only
	skip    map[string]bool // sources that failed this request already
	pending bool            // leases are not told yet: they end with this worker
	hooked  bool            // hooks run at each hand-out
	checked bool            // instances not found fit for some time are checked
	byHooks bool            // they are checked by hooks, too
	wrote   bool            // counts that were read before are out of date
	fresh   bool            // take no ready instance
	least   size            // the least that each must have
	most    float64         // that each may cost for an hour; 0: anything
	choice  choice          // what each is to be made of
	asks    want            // the same
	waited  time.Duration   // in the queue
	// what requests that come before ask for, by the keys of sources' records
	wanted map[int64][]need
	// keys of records of sources from which requests that come before get what can be made
	claimed map[int64]bool
	// what requests ask for that are trying whether it can be had: they come first for that, and
	// for more
	tries map[int64][]want
	// how many places of a source are for requests that have their instances made, and not for
	// instances made ahead
	spoken map[int64]int
	passed []*compute.Waiter // requests that wait for longer, and come after all the same
	// requests that wait for longer and come before, but cannot use what this one takes
	jumped []*compute.Waiter
	// what is being made for requests, by project and user, and with the user "" by project; nil:
	// not known
	booked  map[[2]string]compute.Capacity
	failed  error    // an error of reading the store while the queue was sorted
	fronts  []string // the names of the pools that draw, the outermost first
	records map[*source]*store.SourceRecord
	paused  []error         // why sources were passed over
	worn    []compute.ID    // ready instances that turned out not to be fit to be handed out again
	others  map[*source]int // present instances of older definitions
	ahead   bool            // it serves no waiting request
	queued  bool            // it serves a request in the queue
	// answers to whether another request tries for room now, where there was none
	tried   map[trial]bool
	hitches map[int64][]hitch
	of      *made        // only what is of it is picked; nil: anything
	passes  bool         // it has passed over a ready instance that is elsewhere
	small   int          // how many ready ones are too small
	ended   func() error // why the request has ended, or nil; a nil func: it has not
}

// trial is the question whether a request tries for room for a want at a source, since a time.
type trial struct {
	source *source
	since  int64 // -1: whenever it began
	asks   want
}

const unlimited = math.MaxInt32

// proofLasts is how long an instance that was made, cleaned or found fit counts as fit without
// another look. It is longer than a burst of short leases, and shorter than a person waits before
// asking why.
const proofLasts = 10 * time.Second

func (d *draw) record(s *source) (*store.SourceRecord, error) {
	if r := d.records[s]; r != nil {
		return r, nil
	}
	r, err := d.tx.Source(s.Name, s.Digest)
	if err == nil {
		d.records[s] = r
	}
	return r, err
}

// room returns how many more instances a leaf source may make now.
func (d *draw) room(s *source, r *store.SourceRecord) int {
	o := d.p.ready(r.Key)
	switch {
	case d.skip[s.Name], d.isClaimed(r.Key, d.asks.Beyond(s.usual())), !d.p.affords(s, d.most):
		return 0
	case o == nil:
		d.paused = append(
			d.paused,
			&compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrUnavailable, Err: errors.New("its provider does not open")},
		)
		return 0
	case r.Paused.After(d.now):
		d.paused = append(d.paused, d.pausedBy(s, r))
		return 0
	}
	asks := d.asks.Beyond(s.usual())
	if d.queued && asks != (want{}) && d.isTrying(s, r, asks) {
		return 0 // while that is tried, requests that can have theirs go first
	}
	h, err := d.hitch(r.Key, asks)
	if err != nil {
		d.paused = append(d.paused, err)
		return 0
	}
	if h != nil && h.Paused.After(d.now) {
		d.paused = append(d.paused, d.pausedBy(s, hindrance(h)))
		return 0
	}
	for _, full := range []*store.SourceRecord{r, hindrance(cmp.Or(h, &hitch{}))} {
		if full.Full == 0 {
			continue
		}
		// it was full at the last try: one request tries for all
		tried, err := d.isTried(s, r, full.Paused, asks)
		if err != nil || tried {
			d.paused = append(d.paused, cmp.Or(err, d.pausedBy(s, full)))
			return 0
		}
		if d.ahead {
			return min(1, d.left(s, r))
		}
	}
	return d.left(s, r)
}

// left is below without what is spoken for.
func (d *draw) left(s *source, r *store.SourceRecord) int {
	return max(0, d.below(s, r)-d.spoken[r.Key])
}

// isClaimed reports whether a request that comes before gets what can be made of a source, or what
// can be made of asks.
func (d *draw) isClaimed(key int64, asks want) bool {
	return d.claimed[key] || slices.ContainsFunc(d.tries[key], func(w want) bool { return w.Within(asks) })
}

// isTried reports whether something is already being made that tells if asks can be had, since the
// pause of a full source ended. Within one draw the answer stays the same, as instances that the
// draw records itself do not count.
func (d *draw) isTried(s *source, r *store.SourceRecord, since time.Time, asks want) (bool, error) {
	key := trial{s, since.UnixNano(), asks}
	if tried, known := d.tried[key]; known {
		return tried, nil
	}
	tried := false
	if r.Counts.Creating+r.Counts.SettingUp > 0 {
		is, err := d.tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Creating, compute.SettingUp}})
		if err != nil {
			return false, err
		}
		for _, i := range is {
			tried = tried || !i.Created.Before(since) && d.now.Sub(i.Created) < tryPatience && demand.Read(i.Booked.Asks).Within(asks)
		}
	}
	if d.tried == nil {
		d.tried = map[trial]bool{}
	}
	d.tried[key] = tried
	return tried, nil
}

// pausedBy returns why a source makes nothing now.
func (d *draw) pausedBy(s *source, r *store.SourceRecord) error {
	if doubted(r) {
		return &compute.Error{
			ID: compute.ID(s.Name), Kind: compute.ErrUnavailable, Err: errors.New(r.Why()),
			Hint: "its leases stay; `hostler source test " + s.Name + "` tries it now",
		}
	}
	if r.Failures < breakAt { // its place is full, which is no failure
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity, Err: errors.New(r.LastError)}
	}
	return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrUnavailable,
		Err:  fmt.Errorf("paused for %v after %d failures to create: %s", r.Paused.Sub(d.now).Round(time.Second), r.Failures, r.LastError),
		Hint: "`hostler source test " + s.Name + "` tries it now"}
}

// below returns how many more instances a source may have under its maximum. Instances of older
// definitions of it, configured at the same place, count too.
func (d *draw) below(s *source, r *store.SourceRecord) int {
	m := d.p.maximum(s)
	if m == 0 {
		return unlimited
	}
	if d.others == nil {
		d.others = map[*source]int{}
	}
	n, known := d.others[s]
	if !known {
		recs, err := d.tx.SourcesNamed(s.Name)
		if err != nil {
			d.paused = append(d.paused, err)
			return 0
		}
		for _, o := range recs {
			if o.Key != r.Key && o.Place == s.Place {
				n += o.Counts.Present()
			}
		}
		d.others[s] = n
	}
	return max(0, m-r.Counts.Present()-n)
}

// available returns how many instances a source can give now, cached or made. Children that two
// pools share are counted twice; take finds that out.
func (d *draw) available(s *source) (int, error) {
	r, err := d.record(s)
	if err != nil {
		return 0, err
	}
	if d.cached {
		return unlimited, nil
	}
	more := 0
	if s.Type != poolType {
		more = d.room(s, r)
	} else {
		for _, c := range s.children {
			n, err := d.available(c)
			if err != nil {
				return 0, err
			}
			more = min(unlimited, more+n)
		}
		more = min(more, d.below(s, r))
		if d.isClaimed(r.Key, d.asks) {
			more = 0
		}
		if r.Paused.After(d.now) {
			d.paused = append(d.paused, d.pausedBy(s, r))
			more = 0
		}
	}
	if d.fresh || d.shut(r.Key) || away(r, d.now) {
		return more, nil
	}
	return min(unlimited, r.Counts.Ready+more), nil
}

// take gives up to n instances of a source: cached ones, then new ones. lend makes the lease of
// each.
func (d *draw) take(s *source, n int, cached bool, lend func(*compute.Instance) *compute.Lease) ([]*unit, error) {
	if n == 0 {
		return nil, nil
	}
	if d.wrote { // what a pool drew meanwhile counts
		delete(d.records, s)
	}
	r, err := d.record(s)
	if err != nil {
		return nil, err
	}
	var units []*unit
	if !d.fresh && !d.shut(r.Key) && !away(r, d.now) {
		units, err = d.fromCache(s, r, n, lend)
	}
	if err != nil || len(units) == n || cached {
		return units, err
	}
	var more []*unit
	if s.Type == poolType {
		more, err = d.fromChildren(s, n-len(units), lend)
	} else {
		more, err = d.fromNothing(s, r, n-len(units), lend)
	}
	return append(units, more...), err
}

// fromNothing records new instances of a leaf source, to be made after the transaction.
func (d *draw) fromNothing(s *source, r *store.SourceRecord, n int, lend func(*compute.Instance) *compute.Lease) ([]*unit, error) {
	n = min(n, d.room(s, r))
	var units []*unit
	d.wrote = d.wrote || n > 0
	for range n {
		if d.ended != nil && d.ended() != nil {
			return nil, d.ended()
		}
		id, err := d.newID(s)
		if err != nil || id == "" {
			return units, err
		}
		i := &compute.Instance{ID: id, Source: s.Name, SourceKey: r.Key, Created: d.now}
		i.Worker = d.p.store.Worker()
		if u, err := d.standing(s, i, lend); err != nil {
			return nil, err
		} else if u != nil {
			units = append(units, u)
			continue
		}
		u := &unit{src: s, inst: i, fresh: true, least: d.least, most: d.most, choice: d.choice, asks: d.asks.Beyond(s.usual())}
		u.lease = lend(i)
		i.Wanted, i.Fill = u.lease.ID, u.lease.Owner == ""
		d.book(u)
		i.Booked.Asks = u.asks.Text()
		if _, err := d.p.set(
			d.tx, i, compute.Creating, compute.Event{Lease: i.Wanted, Owner: u.lease.Owner, Project: u.lease.Project},
		); err != nil {
			return nil, err
		}
		units = append(units, u)
	}
	return units, nil
}

// newID names a new instance: by the provider's own names where they are fixed, else by the next
// number. "" when all names are taken.
func (d *draw) newID(s *source) (compute.ID, error) {
	names := d.p.ready(d.records[s].Key).names
	for _, n := range names {
		id := compute.ID(s.Name + "-" + n)
		if _, err := d.tx.Instance(id); errors.Is(err, compute.ErrNotFound) {
			return id, nil
		} else if err != nil {
			return "", err
		}
	}
	if len(names) > 0 {
		return "", nil
	}
	for {
		n, err := d.tx.NextNumber(s.Name)
		if err != nil {
			return "", err
		}
		id := compute.ID(fmt.Sprintf("%s-%d", s.Name, n))
		if free, err := d.free(id); err != nil || free {
			return id, err
		}
	}
}

// free reports whether a name is free, and so are the names that the pools in front will make of
// it: pool web over 3 and a source web-3 can meet in one.
func (d *draw) free(id compute.ID) (bool, error) {
	for n := len(d.fronts); ; n-- {
		if _, err := d.tx.Instance(id); err == nil {
			return false, nil
		} else if !errors.Is(err, compute.ErrNotFound) {
			return false, err
		}
		if n == 0 {
			return true, nil
		}
		id = poolID(d.fronts[n-1], id)
	}
}

// fromChildren draws for a pool: in the configured order first what the children have cached, then
// what they can make.
func (d *draw) fromChildren(s *source, n int, lend func(*compute.Instance) *compute.Lease) ([]*unit, error) {
	r := d.records[s]
	if n = min(n, d.below(s, r)); d.isClaimed(r.Key, d.asks) {
		n = 0
	}
	d.fronts = append(d.fronts, s.Name)
	defer func() { d.fronts = d.fronts[:len(d.fronts)-1] }()
	var units []*unit
	for _, cached := range []bool{true, false} {
		for _, c := range s.children {
			want := n - len(units)
			if !cached {
				if a, err := d.available(c); err != nil {
					return nil, err
				} else {
					want = min(want, a)
				}
			}
			got, err := d.take(c, want, cached, func(i *compute.Instance) *compute.Lease {
				return &compute.Lease{ID: d.p.opt.NewID(), Instance: i.ID, Source: c.Name, Owner: poolOwner(s.Name),
					Purpose: "drawn by pool " + s.Name,
					Pool:    poolID(s.Name, i.ID), Given: d.now, Used: d.now}
			})
			if err != nil {
				return nil, err
			}
			for _, child := range got {
				u, err := d.overChild(s, r, child, lend)
				if err != nil {
					return nil, err
				}
				units = append(units, u)
			}
		}
	}
	return units, nil
}

func poolID(name string, child compute.ID) compute.ID { return compute.ID(name + "-" + string(child)) }

// poolOwner is the owner of a pool's own leases. No user's name has a colon.
func poolOwner(name string) string { return poolPrefix + name }

const poolPrefix = "pool:"

// ownsAsPool reports whether an owner's name is one that pools have, which no user may.
func ownsAsPool(owner string) bool { return strings.HasPrefix(owner, poolPrefix) }

// overChild records the pool's instance in front of a child's.
func (d *draw) overChild(s *source, r *store.SourceRecord, child *unit, lend func(*compute.Instance) *compute.Lease) (*unit, error) {
	i := &compute.Instance{ID: poolID(s.Name, child.inst.ID), Source: s.Name, SourceKey: r.Key, Created: d.now, Child: child.inst.ID,
		Address: child.inst.Address}
	u := &unit{src: s, inst: i, child: child, waited: d.waited, fresh: child.fresh || s.has("provision")}
	u.lease = lend(i)
	if u.fresh {
		i.Worker, i.Wanted, i.Fill = d.p.store.Worker(), u.lease.ID, u.lease.Owner == ""
		d.book(u)
		_, err := d.p.set(
			d.tx, i, compute.Creating,
			compute.Event{
				Lease: i.Wanted, Owner: u.lease.Owner, Project: u.lease.Project,
				Data: map[string]string{"child": string(i.Child)},
			},
		)
		return u, err
	}
	i.Basis, i.ReadyAt = child.inst.Basis, child.inst.ReadyAt
	u.look = d.hooked || child.look
	return u, d.p.hand(d.tx, u, d.pending || u.look)
}
