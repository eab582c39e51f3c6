package pool

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/store"
)

// Project is what a project's requests may have, and what they count beside others'.
type Project struct {
	Weight  float64          // its share compared with other projects; 0: 1
	Highest *int             // the highest priority of its requests; nil: any
	Quota   compute.Capacity // of all its leases together; 0 in it: no limit
	Users   compute.Capacity // the same for each of its users
	Limits  policy.Limits    // what its requests may choose of what the sources allow
}

// project returns a project's configuration; "" is the default one.
func (p *Pool) project(name string) Project {
	if p.opt.Projects == nil {
		return Project{}
	}
	return p.opt.Projects(name)
}

func (p Project) limited() bool {
	return p.Quota != compute.Capacity{} || p.Users != compute.Capacity{}
}

// priority returns the priority that a request gets if it asks for one.
func (p Project) priority(asked int) int {
	if p.Highest != nil {
		asked = min(asked, *p.Highest)
	}
	return max(compute.MinPriority, min(compute.MaxPriority, asked))
}

// errQuota says that a request is beyond a quota now. Leases that end make room.
type errQuota struct {
	key  string // whose quota
	text string
}

func (e *errQuota) Error() string { return e.text }

// errTaken says that a request is not in the queue any more, though it waits.
var errTaken = errors.New("was taken out of the queue")

// count returns what an instance counts under quotas: its own size, or the part that is leased.
// Unknown cores count as one.
func (p *Pool) count(tx store.Tx, u *unit, l *compute.Lease) (compute.Capacity, error) {
	leaf := u
	for leaf.child != nil {
		leaf = leaf.child
	}
	i, src := leaf.inst, leaf.src
	for i.Child != "" && p.opt.Projects != nil {
		child, err := tx.Instance(i.Child)
		if errors.Is(err, compute.ErrNotFound) {
			break
		} else if err != nil {
			return compute.Capacity{}, err
		}
		i = child
		src = p.sources[i.Source]
	}
	c := compute.Capacity{Count: 1, Cores: 1}
	if i.Facts != nil {
		if n, err := strconv.ParseFloat(i.Facts["cores"], 64); err == nil && n > 0 && n < 1e9 {
			c.Cores = n
		}
		c.Memory, _ = strconv.ParseInt(i.Facts["memory"], 10, 64)
	}
	if src != nil {
		c.Cost = src.Price
	}
	if l.Share != nil {
		if c.Cores > 0 {
			c.Cost *= min(1, l.Share.Cores/c.Cores)
		}
		c.Cores, c.Memory = l.Share.Cores, l.Share.Memory
	}
	return c, nil
}

// times returns n times a size, or the largest int64 if that is less.
func times(n int, size int64) int64 {
	if n > 0 && size > math.MaxInt64/int64(n) {
		return math.MaxInt64
	}
	return int64(n) * size
}

// asked returns what a request counts before it is known what it gets: its own sizes. If it has no
// choice of its own and its source's likely sizes are more, those count. The cost is the least
// possible.
func (p *Pool) asked(source string, n int, cores float64, memory int64, chosen bool) compute.Capacity {
	cost, known := 0.0, false
	s := p.sources[source]
	if s != nil && !s.Share && !chosen {
		is := p.likely(s)
		cores, memory = max(cores, is.Cores), max(memory, is.Memory)
	}
	if s != nil && s.Share { // the cost of a part is known when its instance is
		return compute.Capacity{Count: n, Cores: float64(n) * part(compute.Request{Cores: cores}).Cores, Memory: times(n, memory)}
	}
	if s != nil {
		for _, c := range s.all() {
			if c.Type != poolType && (!known || c.Price < cost) {
				cost, known = c.Price, true
			}
		}
	}
	return compute.Capacity{Count: n, Cores: float64(n) * max(1, cores), Memory: times(n, memory), Cost: float64(n) * cost}
}

// book notes with an instance that is to be made what its lease will count.
func (d *draw) book(u *unit) {
	if l := u.lease; l.Owner != "" && l.Pool == "" {
		cores := d.least.Cores
		if l.Share != nil && cores == 0 {
			cores = -1 // none, instead of the default of one
		}
		u.inst.Booked = compute.Booking{
			Project: l.Project, Owner: l.Owner,
			Holds: d.p.asked(u.src.Name, 1, cores, d.least.Memory, d.choice != choice{}),
		}
	}
}

// held returns what a project, or one user of it, has and is being given.
func (d *draw) held(project, owner string) (compute.Capacity, error) {
	sum, err := d.tx.Held(project, owner)
	if err != nil {
		return sum, err
	}
	if d.booked == nil {
		if err := d.bookings(); err != nil {
			return sum, err
		}
	}
	return sum.Add(d.booked[[2]string{project, owner}]), nil
}

// bookings sums instances that are being made for requests, and those that users hold aside.
func (d *draw) bookings() error {
	d.booked = map[[2]string]compute.Capacity{}
	recs, err := d.tx.Sources()
	if err != nil {
		return err
	}
	for _, r := range recs {
		var states []compute.State
		if r.Counts.Creating+r.Counts.SettingUp > 0 {
			states = append(states, compute.Creating, compute.SettingUp)
		}
		if r.Counts.Held > 0 {
			states = append(states, compute.Held)
		}
		if len(states) == 0 {
			continue
		}
		is, err := d.tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: states})
		if err != nil {
			return err
		}
		for _, i := range is {
			if b := i.Booked; i.Wanted != "" || i.State == compute.Held {
				for _, key := range [][2]string{{b.Project, b.Owner}, {b.Project, ""}} {
					d.booked[key] = d.booked[key].Add(b.Holds)
				}
			}
		}
	}
	return nil
}

// within returns an error if a project or one of its users may not have so much more: *errQuota for
// now, ErrTooLarge for ever.
func (d *draw) within(project, owner string, more compute.Capacity) error {
	pr := d.p.project(project)
	for _, l := range []struct {
		whose, key, owner string
		limit             compute.Capacity
	}{
		{called(project), project, "", pr.Quota},
		{owner + " in " + called(project), project + "\x00" + owner, owner, pr.Users},
	} {
		if l.limit == (compute.Capacity{}) {
			continue
		}
		if what := beyond(more, l.limit); what != "" {
			return &compute.Error{Kind: compute.ErrTooLarge,
				Err:  &errSmall{fmt.Sprintf("%s may have %s, and %s asked for", l.whose, limited(what, l.limit), amount(what, more))},
				Hint: "ask for less, or have the quota raised in its project.conf"}
		}
		has, err := d.held(project, l.owner)
		if err != nil {
			return err
		}
		if what := beyond(has.Add(more), l.limit); what != "" {
			return &errQuota{
				l.key,
				fmt.Sprintf("%s has %s of %s, and %s asked for", l.whose, plain(what, has), limited(what, l.limit), amount(what, more)),
			}
		}
	}
	return nil
}

// keepQuota checks the quota in the hand-out of new instances that turned out larger than booked.
// Several requests at once may have been let begin more than all of them may have. booked is what
// they counted before.
func (p *Pool) keepQuota(tx store.Tx, units []*unit, booked compute.Capacity) error {
	l := units[0].lease
	if pr := p.project(l.Project); !pr.limited() || l.Pool != "" {
		return nil
	}
	var all, fresh compute.Capacity
	for _, u := range units {
		all = all.Add(u.lease.Holds)
		if u.fresh || u.joins && u.host.fresh {
			fresh = fresh.Add(u.lease.Holds)
		}
	}
	if more := fresh.Less(booked); more.Count <= 0 && more.Cores <= 0 && more.Memory <= 0 && more.Cost <= 0 {
		return nil
	}
	d := &draw{p: p, tx: tx, now: time.Now(), records: map[*source]*store.SourceRecord{}}
	if err := d.bookings(); err != nil {
		return err
	}
	// they are in the sums of the leases by now
	for _, key := range [][2]string{{l.Project, l.Owner}, {l.Project, ""}} {
		d.booked[key] = d.booked[key].Less(all)
	}
	err := d.within(l.Project, l.Owner, all)
	if q := (*errQuota)(nil); errors.As(err, &q) {
		return &compute.Error{Kind: compute.ErrNoCapacity, Err: err}
	}
	return err
}

func called(project string) string {
	if project == "" {
		return "the default project"
	}
	return "project " + project
}

// beyond returns the name of the first amount that is above a limit, or "".
func beyond(c, limit compute.Capacity) string {
	const rounding = 1e-6
	switch {
	case limit.Count > 0 && c.Count > limit.Count:
		return "count"
	case limit.Cores > 0 && c.Cores > limit.Cores+rounding:
		return "cores"
	case limit.Memory > 0 && c.Memory > limit.Memory:
		return "memory"
	case limit.Cost > 0 && c.Cost > limit.Cost+rounding:
		return "cost"
	}
	return ""
}

// plain formats one amount of a capacity.
func plain(what string, c compute.Capacity) string {
	switch what {
	case "count":
		return strconv.Itoa(c.Count)
	case "cores":
		return strconv.FormatFloat(c.Cores, 'f', -1, 64)
	case "memory":
		return compute.Bytes(c.Memory)
	}
	return strconv.FormatFloat(c.Cost, 'f', -1, 64)
}

func limited(what string, c compute.Capacity) string {
	return plain(what, c) + map[string]string{"count": " instances", "cores": " cores", "memory": " of memory", "cost": " an hour"}[what]
}

func amount(what string, c compute.Capacity) string {
	if what == "count" && c.Count == 1 {
		return "1 is"
	}
	return plain(what, c) + " are"
}
