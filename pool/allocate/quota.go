package allocate

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/text/units"
)

// quotaError says that a request is beyond a quota now. Leases that end make room.
type quotaError struct {
	key  string // whose quota
	text string
}

func (e *quotaError) Error() string { return e.text }

// ErrNotQueued says that a request is not in the queue any more, though it waits.
var ErrNotQueued = errors.New("was taken out of the queue")

// Count returns what an instance counts under quotas: its own size, or the part that is leased.
// Unknown cores count as one.
func (v *View) Count(r Reader, u *Grant, l *compute.Lease) (compute.Capacity, error) {
	leaf := u
	for leaf.Child != nil {
		leaf = leaf.Child
	}
	i, src := leaf.Instance, leaf.Source
	for i.Child != "" && v.Quotas {
		child, err := r.Instance(i.Child)
		if errors.Is(err, compute.ErrNotFound) {
			break
		} else if err != nil {
			return compute.Capacity{}, err
		}
		i = child
		src = v.ByName[i.Source]
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
func (v *View) asked(source string, n int, cores float64, memory int64, chosen bool) compute.Capacity {
	cost, known := 0.0, false
	s := v.ByName[source]
	if s != nil && !s.Share && !chosen {
		is := v.likely(s)
		cores, memory = max(cores, is.Cores), max(memory, is.Memory)
	}
	if s != nil && s.Share { // the cost of a part is known when its instance is
		return compute.Capacity{Count: n, Cores: float64(n) * part(compute.Request{Cores: cores}).Cores, Memory: times(n, memory)}
	}
	if s != nil {
		for _, c := range s.All() {
			if c.Type != PoolType && (!known || c.Price < cost) {
				cost, known = c.Price, true
			}
		}
	}
	return compute.Capacity{Count: n, Cores: float64(n) * max(1, cores), Memory: times(n, memory), Cost: float64(n) * cost}
}

// quotas is what projects and their users have and are being given.
type quotas struct {
	view *View
	plan *plan
	// what is being made for requests, by project and user, and with the user "" by project; nil:
	// not known
	booked map[[2]string]compute.Capacity
	failed error // an error of reading the store while the queue was sorted
}

// book notes with an instance that is to be made what its lease will count.
func (d *allocation) book(u *Grant) {
	if l := u.Lease; l.Owner != "" && l.Pool == "" {
		cores := d.asks.Cores
		if l.Share != nil && cores == 0 {
			cores = -1 // none, instead of the default of one
		}
		u.Instance.Booked = compute.Reservation{
			Project: l.Project, Owner: l.Owner,
			Holds: d.view.asked(u.Source.Name, 1, cores, d.asks.Memory, d.asks.Chosen()),
		}
	}
}

// held returns what a project, or one user of it, has and is being given.
func (q *quotas) held(project, owner string) (compute.Capacity, error) {
	sum, err := q.plan.Held(project, owner)
	if err != nil {
		return sum, err
	}
	if q.booked == nil {
		if err := q.bookings(); err != nil {
			return sum, err
		}
	}
	return sum.Add(q.booked[[2]string{project, owner}]), nil
}

// bookings sums instances that are being made for requests, and those that users hold aside.
func (q *quotas) bookings() error {
	q.booked = map[[2]string]compute.Capacity{}
	recs, err := q.plan.Sources("")
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
		is, err := q.plan.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: states})
		if err != nil {
			return err
		}
		for _, i := range is {
			if b := i.Booked; i.Wanted != "" || i.State == compute.Held {
				for _, key := range [][2]string{{b.Project, b.Owner}, {b.Project, ""}} {
					q.booked[key] = q.booked[key].Add(b.Holds)
				}
			}
		}
	}
	return nil
}

// within returns an error if a project or one of its users may not have so much more: *errQuota for
// now, ErrTooLarge for ever.
func (q *quotas) within(project, owner string, more compute.Capacity) error {
	pr := q.view.Project(project)
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
				Err:  &TooSmallError{fmt.Sprintf("%s may have %s, and %s asked for", l.whose, limited(what, l.limit), amount(what, more))},
				Hint: "ask for less, or have the quota raised in its project.conf"}
		}
		has, err := q.held(project, l.owner)
		if err != nil {
			return err
		}
		if what := beyond(has.Add(more), l.limit); what != "" {
			return &quotaError{
				l.key,
				fmt.Sprintf("%s has %s of %s, and %s asked for", l.whose, plain(what, has), limited(what, l.limit), amount(what, more)),
			}
		}
	}
	return nil
}

// KeepQuota checks the quota in the hand-out of new instances that turned out larger than booked.
// Several requests at once may have been let begin more than all of them may have. booked is what
// they counted before.
func KeepQuota(v *View, units []*Grant, booked compute.Capacity) error {
	l := units[0].Lease
	if pr := v.Project(l.Project); !pr.limited() || l.Pool != "" {
		return nil
	}
	var all, fresh compute.Capacity
	for _, u := range units {
		all = all.Add(u.Lease.Holds)
		if u.Fresh || u.Joins && u.Host.Fresh {
			fresh = fresh.Add(u.Lease.Holds)
		}
	}
	if more := fresh.Less(booked); more.Count <= 0 && more.Cores <= 0 && more.Memory <= 0 && more.Cost <= 0 {
		return nil
	}
	d := newAllocation(v)
	if err := d.quotas.bookings(); err != nil {
		return err
	}
	// they are in the sums of the leases by now
	for _, key := range [][2]string{{l.Project, l.Owner}, {l.Project, ""}} {
		d.quotas.booked[key] = d.quotas.booked[key].Less(all)
	}
	err := d.quotas.within(l.Project, l.Owner, all)
	if q := (*quotaError)(nil); errors.As(err, &q) {
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
		return units.RoundSize(c.Memory)
	}
	return strconv.FormatFloat(c.Cost, 'f', -1, 64)
}

func amount(what string, c compute.Capacity) string {
	if what == "count" && c.Count == 1 {
		return "1 is"
	}
	return plain(what, c) + " are"
}

// weigh returns what a project has and may have, for order.
func (q *quotas) weigh(project string) projectShare {
	c, err := q.held(project, "")
	if err != nil && q.failed == nil {
		q.failed = err
	}
	return projectShare{held: capacityOf(c), weight: q.view.Project(project).Weight}
}
