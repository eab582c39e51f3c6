package allocate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

// Grant is one instance on its way to a request, with the child's behind it where a pool drew a new
// one.
type Grant struct {
	Source   *Source
	Instance *compute.Instance
	Lease    *compute.Lease // the user's, or at a child the pool's
	Child    *Grant
	Fresh    bool // recorded, and to be made
	Verify   bool // to be looked at before it is handed out
	// it is a part of an instance that others share or will share: host, where that is not in use
	// yet
	Joins   bool
	Host    *Grant
	Request *compute.Request // that it is made for; nil: the cache
	Demand  demand.Demand    // what the instance is to be, and to cost at most
	Beyond  demand.Demand    // the same, but for what all of its source have anyway
	// the promoted image that it is made from; "": its source's, or the chosen one
	Image    string
	Template string // the template that it is made of; "": not told
	// The computer is asked for its size, where its provider does not tell it.
	Measured bool

	Waited time.Duration // its request's time in the queue, for the journal
	Until  time.Time     // until when it may wait for room; zero: no limit
	Err    error
}

// Each calls f for the grant and those behind it, the innermost first.
func (u *Grant) Each(f func(*Grant) error) error {
	if u.Child != nil {
		if err := u.Child.Each(f); err != nil {
			return err
		}
	}
	return f(u)
}

// allocation takes instances for one request, or for the cache.
type allocation struct {
	view   *View
	plan   *plan
	known  *prospects
	quotas *quotas
	claims claims

	req     Request       // the zero value: it is for the cache, or none
	asks    demand.Demand // of each instance
	fresh   bool          // take no ready instance
	ahead   bool          // it serves no waiting request
	queued  bool          // it serves a request in the queue
	waited  time.Duration // in the queue
	pending bool          // leases are not told yet: they end with this worker
	changed bool          // counts that were read before are out of date
	of      *Make         // only what is of it is picked; nil: anything
	pools   []string      // the names of the pools that draw, the outermost first

	later []*inventory.Waiter // requests that wait for longer, and come after all the same
	// requests that wait for longer and come before, but cannot use what this one takes
	overtaken []*inventory.Waiter

	expired    []compute.ID // ready instances that turned out not to be fit to be handed out again
	passedOver bool         // it has passed over a ready instance that is elsewhere
	tooSmall   int          // how many ready ones are too small
}

// newAllocation returns an allocation that goes by a view.
func newAllocation(v *View) *allocation {
	p := &plan{Reader: v.Reader}
	return &allocation{
		view: v, plan: p, known: &prospects{view: v, plan: p, records: map[*Source]*store.SourceRecord{}},
		quotas: &quotas{view: v, plan: p},
	}
}

// trial is the question whether a request tries for room for a want at a source, since a time.
type trial struct {
	source *Source
	since  int64 // -1: whenever it began
	asks   demand.Demand
}

const unlimited = math.MaxInt32

// proofLasts is how long an instance that was made, cleaned or found fit counts as fit without
// another look. It is longer than a burst of short leases, and shorter than a person waits before
// asking why.
const proofLasts = 10 * time.Second

// room returns how many more instances a leaf source may make now.
func (d *allocation) room(s *Source, r *store.SourceRecord) int {
	n, why := d.roomOf(s, r)
	if n == 0 {
		d.view.pass(s, "", why)
	}
	return n
}

// roomOf is room, and says why there is none.
func (d *allocation) roomOf(s *Source, r *store.SourceRecord) (n int, why string) {
	paused := func(err error) (int, string) {
		d.known.paused = append(d.known.paused, err)
		return 0, fault.Message(err)
	}
	o := d.view.Provider(r.Key)
	switch {
	case d.req.Skip[s.Name]:
		return 0, "it makes none for this request"
	case d.claims.isClaimed(r.Key, d.asks.Beyond(s.usual())):
		return 0, "a request that comes before waits for what it can make"
	case !d.view.Affords(s, d.asks.Price):
		return 0, "what it makes costs more than what is asked for"
	case o == nil:
		return paused(
			&compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrUnavailable, Err: errors.New("its provider does not open")},
		)
	case r.Paused.After(d.view.Now):
		return paused(d.known.pausedBy(s, r))
	}
	asks := d.asks.Beyond(s.usual())
	if d.queued && asks != (demand.Demand{}) && d.known.isTrying(s, r, asks) {
		// while that is tried, requests that can have theirs go first
		return 0, "another request tries whether it can make that"
	}
	h, err := d.known.backoff(r.Key, asks)
	if err != nil {
		return paused(err)
	}
	if h != nil && h.Paused.After(d.view.Now) {
		return paused(d.known.pausedBy(s, asRecord(h)))
	}
	for _, full := range []*store.SourceRecord{r, asRecord(cmp.Or(h, &Backoff{}))} {
		if full.Full == 0 {
			continue
		}
		// it was full at the last try: one request tries for all
		tried, err := d.known.isTried(s, r, full.Paused, asks)
		if err != nil || tried {
			return paused(cmp.Or(err, d.known.pausedBy(s, full)))
		}
		if d.ahead {
			return min(1, d.left(s, r)), atMost
		}
	}
	return d.left(s, r), atMost
}

// atMost is why a source that works makes no more.
const atMost = "it has as many as it may have"

// left is below without what is spoken for.
func (d *allocation) left(s *Source, r *store.SourceRecord) int {
	return max(0, d.known.below(s, r)-d.claims.reserved[r.Key])
}

// Below returns how many more instances a source may have under its maximum.
func Below(v *View, s *Source, r *store.SourceRecord) int { return newAllocation(v).known.below(s, r) }

// available returns how many instances a source can give now, cached or made. Children that two
// pools share are counted twice; take finds that out.
func (d *allocation) available(s *Source) (int, error) {
	r, err := d.known.record(s)
	if err != nil {
		return 0, err
	}
	if d.req.CachedOnly {
		return unlimited, nil
	}
	more := 0
	if s.Type != PoolType {
		more = d.room(s, r)
	} else {
		for _, c := range s.below {
			n, err := d.available(c)
			if err != nil {
				return 0, err
			}
			more = min(unlimited, more+n)
		}
		more = min(more, d.known.below(s, r))
		if d.claims.isClaimed(r.Key, d.asks) {
			d.view.pass(s, "", "a request that comes before waits for what it can draw")
			more = 0
		}
		if r.Paused.After(d.view.Now) {
			d.known.paused = append(d.known.paused, d.known.pausedBy(s, r))
			more = 0
		}
	}
	if d.closed(r) != "" {
		return more, nil
	}
	return min(unlimited, r.Counts.Ready+more), nil
}

// take gives up to n instances of a source: cached ones, then new ones. lend makes the lease of
// each.
func (d *allocation) take(s *Source, n int, cached bool, lend func(*compute.Instance) *compute.Lease) ([]*Grant, error) {
	if n == 0 {
		return nil, nil
	}
	if d.changed { // what a pool drew meanwhile counts
		delete(d.known.records, s)
	}
	r, err := d.known.record(s)
	if err != nil {
		return nil, err
	}
	var units []*Grant
	if why := d.closed(r); why == "" {
		units, err = d.fromCache(s, r, n, lend)
	} else if r.Counts.Ready > 0 {
		d.view.pass(s, "", why)
	}
	if err != nil || len(units) == n || cached {
		return units, err
	}
	var more []*Grant
	if s.Type == PoolType {
		more, err = d.fromChildren(s, n-len(units), lend)
	} else {
		more, err = d.fromNothing(s, r, n-len(units), lend)
	}
	return append(units, more...), err
}

// closed returns why no ready instance of a source is taken, or "".
func (d *allocation) closed(r *store.SourceRecord) string {
	switch {
	case d.fresh:
		return "what stands ready is not made as it is asked for"
	case d.claims.taken(r.Key):
		return "a request that comes before waits for any that stands ready"
	case UnreachableNow(r, d.view.Now):
		return "what stands ready cannot be reached"
	}
	return ""
}

// fromNothing records new instances of a leaf source, to be made after the transaction.
func (d *allocation) fromNothing(s *Source, r *store.SourceRecord, n int, lend func(*compute.Instance) *compute.Lease) ([]*Grant, error) {
	n = min(n, d.room(s, r))
	var units []*Grant
	d.changed = d.changed || n > 0
	for range n {
		if d.req.Ended != nil && d.req.Ended() != nil {
			return nil, d.req.Ended()
		}
		id, err := d.newID(s)
		if err != nil || id == "" {
			return units, err
		}
		i := &compute.Instance{ID: id, Source: s.Name, SourceKey: r.Key, Created: d.view.Now}
		i.Worker = d.view.Worker
		if u := d.existing(s, i, lend); u != nil {
			units = append(units, u)
			continue
		}
		u := &Grant{Source: s, Instance: i, Fresh: true, Request: d.req.made(), Demand: d.asks, Beyond: d.asks.Beyond(s.usual())}
		u.Lease = lend(i)
		i.Wanted, i.Fill = u.Lease.ID, u.Lease.Owner == ""
		d.book(u)
		i.Booked.Asks = u.Beyond.Text()
		d.plan.create(u)
		units = append(units, u)
	}
	return units, nil
}

// newID names a new instance: by the provider's own names where they are fixed, else by the next
// number. "" when all names are taken.
func (d *allocation) newID(s *Source) (compute.ID, error) {
	names := d.view.Provider(d.known.records[s].Key).Names
	for _, n := range names {
		id := compute.ID(s.Name + "-" + n)
		if _, err := d.plan.Instance(id); errors.Is(err, compute.ErrNotFound) {
			return id, nil
		} else if err != nil {
			return "", err
		}
	}
	if len(names) > 0 {
		return "", nil
	}
	for {
		n, err := d.plan.number(s.Name)
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
func (d *allocation) free(id compute.ID) (bool, error) {
	for n := len(d.pools); ; n-- {
		if _, err := d.plan.Instance(id); err == nil {
			return false, nil
		} else if !errors.Is(err, compute.ErrNotFound) {
			return false, err
		}
		if n == 0 {
			return true, nil
		}
		id = poolID(d.pools[n-1], id)
	}
}
