package pooltest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// ledger is what the store was told and has acknowledged, and what users were told; the judges look
// here, so that what the store forgets is seen too.
type ledger struct {
	w       *world
	insts   map[compute.ID]*compute.Instance
	leases  map[string]*compute.Lease // living
	waiters map[int64]*inventory.Waiter
	recs    map[int64]*store.SourceRecord
	owners  map[int64]*process      // of waiters
	bases   map[int64]compute.Event // events that a hand-out may rest on
	handed  map[compute.ID]int64    // the event of a computer's last hand-out to a user
	// computers that a user had since they were made or cleaned, with the lease
	dirty   map[compute.ID]string
	grants  map[string]*grant        // by lease: what users were told
	slots   map[place]int            // places taken
	foreign []*simSource             // where a computer of somebody else's stands
	ended   map[string]compute.Lease // leases that ended
	names   map[compute.ID]int64     // the row of each name ever used
	gens    map[int64]int64          // the highest generation of each row
	notes   map[string]string        // what the engine has noted
	hungry  map[int64]time.Time      // waiters that could be served, since when
}

// place is where a process runs something: the row of an instance.
type place struct {
	proc *process
	row  int64
}

// enter judges that a source's concurrency is kept.
func (l *ledger) enter(p *process, i *compute.Instance) {
	l.slots[place{p, i.Row}]++
	n := 0
	for k, v := range l.slots {
		if k.row == i.Row {
			n += v
		}
	}
	if s := l.w.source(i.Source); s.Concurrency > 0 && n > s.Concurrency {
		l.w.sched.fail("%d run on %s at once, and its concurrency is %d", n, i.ID, s.Concurrency)
	}
}

// grant is a lease as its user knows it.
type grant struct {
	user  *user
	lease compute.Lease
	leaf  compute.ID
	calls int // under way that may end it earlier

	unsure bool // it may have been renewed without the user's knowing
}

func newLedger(w *world) ledger {
	return ledger{w: w, insts: map[compute.ID]*compute.Instance{}, leases: map[string]*compute.Lease{},
		waiters: map[int64]*inventory.Waiter{},
		recs:    map[int64]*store.SourceRecord{}, owners: map[int64]*process{}, bases: map[int64]compute.Event{},
		handed: map[compute.ID]int64{},
		dirty:  map[compute.ID]string{}, grants: map[string]*grant{}, slots: map[place]int{}, ended: map[string]compute.Lease{},
		names: map[compute.ID]int64{}, gens: map[int64]int64{}, notes: map[string]string{}, hungry: map[int64]time.Time{}}
}

// news tells whether a transaction wrote anything: to leave the queue twice is nothing.
func (l *ledger) news(did []any) bool {
	return slices.ContainsFunc(did, func(d any) bool {
		if d, ok := d.(left); ok {
			return l.waiters[d.id] != nil
		}
		return true
	})
}

// commit takes in what a transaction wrote and judges the state that it left.
func (l *ledger) commit(p *process, did []any) {
	fail := l.w.sched.fail
	now := time.Now()
	for _, d := range did {
		l.w.sched.note(p.name, "  %s", describe(d))
	}
	var made []*compute.Instance
	var given []compute.Lease
	events := map[string]compute.Event{} // hand-outs, by lease
	turn := l.turns()
	leaves := map[int64]*inventory.Waiter{}
	before := map[compute.ID]compute.State{}
	for id, i := range l.insts {
		before[id] = i.State
	}
	for _, d := range did {
		switch d := d.(type) {
		case saved:
			i := d.i
			was := l.insts[i.ID]
			switch {
			case was == nil:
				// a list may tell of one that has gone meanwhile
				if row, ok := l.names[i.ID]; ok && row != i.Row && !l.fixed(i.Source) && i.State != compute.Discarding {
					fail("the name %s was used before", i.ID)
				}
				l.names[i.ID] = i.Row
				made = append(made, &i)
			case was.Row != i.Row:
				fail("%s has another record", i.ID)
			case was.State != i.State && !steps.Leads(was.State, i.State):
				fail("%s went from %s to %s", i.ID, was.State, i.State)
			}
			if i.Generation < l.gens[i.Row] {
				fail("the generation of %s went from %d to %d", i.ID, l.gens[i.Row], i.Generation)
			}
			if i.State == compute.Leased && before[i.ID] != compute.Leased && i.Generation == l.gens[i.Row] {
				fail("%s was handed out with generation %d again", i.ID, i.Generation)
			}
			l.gens[i.Row] = i.Generation
			l.insts[i.ID] = &i
		case dropped:
			delete(l.insts, d.i.ID)
			if s := l.w.source(d.i.Source); s.cloud != nil && slices.Contains(s.cloud.IDs(), string(d.i.ID)) {
				fail("%s was forgotten while it is there", d.i.ID)
			}
		case lent:
			le := d.l
			for _, o := range l.leases {
				if o.Instance == le.Instance {
					fail("%s got lease %s while it has %s", le.Instance, le.ID, o.ID)
				}
			}
			l.leases[le.ID] = &le
			given = append(given, le)
		case changed:
			le := d.l
			if l.leases[le.ID] == nil {
				fail("lease %s, which does not live, was changed", le.ID)
			}
			if l.leases[le.ID] = &le; !le.Ended.IsZero() {
				delete(l.leases, le.ID)
				l.ended[le.ID] = le
			}
		case sourced:
			s := d.s
			l.recs[s.Key] = &s
		case joined:
			w := d.w
			l.waiters[w.ID], l.owners[w.ID] = &w, p
		case passed:
			w := d.w
			l.waiters[w.ID] = &w
		case noted:
			l.notes[d.name] = d.text
			if d.text == "" {
				delete(l.notes, d.name)
			}
		case left:
			leaves[d.id] = l.waiters[d.id]
			delete(l.waiters, d.id)
		case appended:
			e := d.e
			switch {
			case e.Kind == "made", e.Kind == "cleaned", e.Kind == "ready", e.Kind == "released" && e.Data["reuse"] == "as-is":
				l.bases[e.ID] = e
			case e.Kind == "leased":
				events[e.Lease] = e
			}
		}
	}
	for _, i := range made {
		l.mayRecord(i, now)
	}
	l.judge(now)
	l.turnOf(p, did, before, leaves, turn)
	l.quotas()
	for _, le := range given {
		if le.Owner == "" || le.Pool != "" || l.leases[le.ID] == nil {
			continue
		}
		leaf := l.leaf(le.Instance)
		uses := 1
		for i := l.insts[le.Instance]; i != nil; i = l.insts[i.Child] {
			s := l.w.source(i.Source)
			uses += i.Uses - 1
			if before[le.Instance] != compute.Ready && before[i.ID] != compute.Ready {
				continue
			}
			if s.MaxAge > 0 && now.Sub(i.Created) >= s.MaxAge {
				fail("%s was handed out as %s, and is %v old of %v", i.ID, le.ID, now.Sub(i.Created), s.MaxAge)
			}
			if s.MaxUses > 0 && uses > s.MaxUses {
				fail("%s was handed out as %s, for the %dth time of %d", i.ID, le.ID, uses, s.MaxUses)
			}
		}
		if leaf == nil {
			fail("%s was handed out with nothing behind it", le.Instance)
			continue
		}
		if by, ok := l.dirty[leaf.ID]; ok && !l.reusedAsIs(leaf) {
			fail("%s was handed out as %s, and is as lease %s left it", leaf.ID, le.ID, by)
		}
		l.dirty[leaf.ID] = le.ID
		e := events[le.ID]
		basis, _ := strconv.ParseInt(e.Data["rests_on"], 10, 64)
		if b, ok := l.bases[basis]; !ok || basis <= l.handed[leaf.ID] {
			fail(
				"the hand-out of %s to %s rests on event %d (%s), which is no making or cleaning since event %d",
				le.Instance, le.ID, basis, b.Kind, l.handed[leaf.ID],
			)
		}
		l.handed[leaf.ID] = e.ID
	}
}

func (l *ledger) fixed(name string) bool {
	s := l.w.source(name)
	return len(s.names) > 0 || s.cloud == nil
}

// leaf is the computer behind an instance.
func (l *ledger) leaf(id compute.ID) *compute.Instance {
	i := l.insts[id]
	for i != nil && i.Child != "" {
		i = l.insts[i.Child]
	}
	return i
}

func (l *ledger) reusedAsIs(i *compute.Instance) bool {
	s := l.w.source(i.Source)
	return s.Reuse == "as-is" || s.asIs && s.Reuse == ""
}

// mayRecord judges a new record: is there room, and does the breaker let it pass?
func (l *ledger) mayRecord(i *compute.Instance, now time.Time) {
	s := l.w.source(i.Source)
	n := 0
	for _, o := range l.insts {
		if o.Source == i.Source && o.State != compute.Held {
			n++
		}
	}
	if s.Maximum > 0 && n > s.Maximum {
		l.w.sched.fail("%s is one of %d, and the maximum of %s is %d", i.ID, n, s.Name, s.Maximum)
	}
	if len(s.names) > 0 && n > len(s.names) {
		l.w.sched.fail("%s is one of %d, and %s has %d machines", i.ID, n, s.Name, len(s.names))
	}
	if r := l.recs[i.SourceKey]; s.cloud != nil && r != nil && r.Paused.After(now) {
		l.w.sched.fail("%s is made while %s is paused", i.ID, s.Name)
	}
	if asks := wishOf(i.Booked.Asks, 0); l.stuck(i.SourceKey, asks, now) {
		l.w.sched.fail("%s is made, and %s is paused for %+v", i.ID, s.Name, asks)
	}
}

// judge looks at all records.
func (l *ledger) judge(now time.Time) {
	fail := l.w.sched.fail
	of := map[compute.ID]*compute.Lease{}
	for _, id := range keys(l.leases) {
		le := l.leases[id]
		if o := of[le.Instance]; o != nil {
			fail("%s has two leases, %s and %s", le.Instance, o.ID, le.ID)
		}
		of[le.Instance] = le
		i := l.insts[le.Instance]
		switch {
		case i == nil:
			fail("lease %s lives, and %s is gone", le.ID, le.Instance)
		case i.State != compute.Leased:
			fail("lease %s lives, and %s is %s", le.ID, i.ID, i.State)
		case i.Generation != le.Generation:
			fail("lease %s has generation %d, and %s %d", le.ID, le.Generation, i.ID, i.Generation)
		}
		if p := l.insts[le.Pool]; le.Pool != "" && (p == nil || p.Child != le.Instance) {
			fail("lease %s of %s is of pool instance %s, which is not in front of it", le.ID, le.Instance, le.Pool)
		}
	}
	for _, id := range keys(l.insts) {
		i := l.insts[id]
		if i.State == compute.Leased && of[id] == nil {
			fail("%s is leased to nobody", id)
		}
		if i.Worker != 0 && (i.State == compute.Ready || i.State == compute.Leased || i.State == compute.Held) {
			fail("%s is %s and worked on", id, i.State)
		}
		if i.Child == "" {
			continue
		}
		c := l.insts[i.Child]
		switch i.State {
		case compute.Ready, compute.Leased, compute.Cleaning:
			if c == nil || c.State != compute.Leased {
				fail("%s is %s, and the %s behind it is not in use", id, i.State, i.Child)
			} else if le := of[c.ID]; le == nil || le.Pool != id {
				fail("%s is %s, and the %s behind it is not its pool's", id, i.State, i.Child)
			}
		}
		for _, o := range l.insts {
			if o != i && o.Child == i.Child {
				fail("%s is behind %s and %s", i.Child, i.ID, o.ID)
			}
		}
	}
	for _, id := range keys(l.grants) {
		g := l.grants[id]
		if d := g.lease.Deadline(); g.calls > 0 || !d.IsZero() && !now.Before(d) {
			continue
		}
		le := l.leases[id]
		if le == nil {
			fail(
				"%s was told of lease %s until %v, and it ended: %s", g.user.name, id,
				g.lease.Deadline().Sub(l.w.sched.start), l.ended[id].Why,
			)
		} else if i := l.insts[le.Instance]; i == nil || i.State != compute.Leased || i.Generation != g.lease.Generation {
			fail("%s was told of lease %s, and %s is not in use by it", g.user.name, id, le.Instance)
		}
	}
}

// mayCreate judges a create before its effect: the intent is recorded, and the place is not
// over-full.
func (l *ledger) mayCreate(s *simSource, spec compute.Spec) {
	i := l.insts[spec.ID]
	if i == nil || i.State != compute.Creating {
		l.w.sched.fail("%s is created, and there is no such intent", spec.ID)
	}
	if spec.Source != s.Name || spec.Installation == "" || spec.Installation == others {
		l.w.sched.fail("%s is created for %q of %q", spec.ID, spec.Source, spec.Installation)
	}
}

// mayDestroy judges a destroy before its effect.
func (l *ledger) mayDestroy(id compute.ID) {
	if i := l.insts[id]; i == nil || i.State != compute.Discarding {
		l.w.sched.fail("%s is destroyed, and is not to be discarded", id)
	}
}

// mayClean judges a cleaning before its effect: nobody may be using it.
func (l *ledger) mayClean(id compute.ID) {
	i := l.insts[id]
	if i == nil || i.State != compute.Cleaning && i.State != compute.Leased {
		l.w.sched.fail("%s is cleaned, and is not to be", id)
	}
	for _, g := range l.grants {
		if d := g.lease.Deadline(); g.leaf == id && g.calls == 0 && (d.IsZero() || time.Now().Before(d)) {
			l.w.sched.fail("%s is cleaned while %s has it", id, g.user.name)
		}
	}
}

// clouds judges what is at the providers: each computer has its record, and those of others are
// left alone.
func (l *ledger) clouds(exactly bool) {
	for _, s := range l.w.sources {
		if s.cloud == nil {
			continue
		}
		foreign := 0
		there := map[compute.ID]bool{}
		for _, id := range s.cloud.IDs() {
			if strings.HasPrefix(id, "foreign-") {
				foreign++
				continue
			}
			there[compute.ID(id)] = true
			if l.insts[compute.ID(id)] == nil {
				l.w.sched.fail("%s is in the cloud, and has no record", id)
			}
		}
		if want := slices.Contains(l.foreign, s); (foreign == 1) != want {
			l.w.sched.fail("somebody else's computer in the cloud of %s was touched", s.Name)
		}
		for id, i := range l.insts {
			if exactly && i.Source == s.Name && !there[id] {
				l.w.sched.fail("%s is %s, and is not in the cloud", id, i.State)
			}
		}
	}
}

// outages judges that a source whose every create failed was asked seldom: three times, and once
// more after each pause, by all requests that were under way at once.
func (l *ledger) outages() {
	for _, s := range l.w.sources {
		if s.cloud == nil {
			continue
		}
		pauses, pause := 0, 10*time.Second
		for t := time.Duration(0); t < s.outage[1]-s.outage[0]; t += pause {
			pauses++
			pause *= 2
		}
		if most := (3 + pauses) * 3 * len(l.w.users); s.attempts > most {
			l.w.sched.fail("%s was asked %d times in an outage of %v; %d are bearable", s.Name, s.attempts, s.outage[1]-s.outage[0], most)
		}
	}
}

// told notes what a user was told by Acquire.
func (l *ledger) told(u *user, ls []compute.Lease) {
	now := time.Now()
	for _, le := range ls {
		leaf := l.leaf(le.Instance)
		if leaf == nil {
			l.w.sched.fail("%s was given %s, and there is nothing", u.name, le.Instance)
			return
		}
		for _, g := range l.grants {
			if d := g.lease.Deadline(); g.leaf == leaf.ID && (d.IsZero() || now.Before(d)) {
				l.w.sched.fail("%s was given %s, which %s has", u.name, le.Instance, g.user.name)
			}
		}
		l.grants[le.ID] = &grant{user: u, lease: le, leaf: leaf.ID}
	}
	l.judge(now)
}

// describe is a write's line in the trace; workers' numbers are not the seed's.
func describe(d any) string {
	switch d := d.(type) {
	case saved:
		return fmt.Sprintf(
			"%s %s worker %t child %s wanted %s resume %d", d.i.ID, d.i.State, d.i.Worker != 0, d.i.Child, d.i.Wanted,
			d.i.Resume,
		)
	case dropped:
		return fmt.Sprintf("%s gone", d.i.ID)
	case lent:
		return fmt.Sprintf("lease %s of %s for %s%s", d.l.ID, d.l.Instance, d.l.Owner, d.l.Pool)
	case changed:
		return fmt.Sprintf("lease %s of %s: %s", d.l.ID, d.l.Instance, d.l.Why)
	case joined:
		return fmt.Sprintf("waiter %d for %d of %s", d.w.ID, d.w.Count, d.w.Source)
	case passed:
		return fmt.Sprintf("waiter %d is passed for the %dth time", d.w.ID, d.w.Passed)
	case left:
		return fmt.Sprintf("waiter %d leaves", d.id)
	case appended:
		return fmt.Sprintf("event %d %s %s %s", d.e.ID, d.e.Kind, d.e.Instance, d.e.Text)
	}
	// traces of older builds, in which this was in a test of pool, are to compare
	return strings.Replace(fmt.Sprintf("%T", d), "pooltest", "pool_test", 1)
}

func keys[K ~string, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
