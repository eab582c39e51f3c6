package director

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/loop"
	"github.com/hostler-project/hostler/director/plan"
)

// Policy is the part of a source's configuration that only the director uses.
type Policy struct {
	Strategy Strategy // nil: Reserve
	Price    float64  // of one instance for an hour, in any currency; 0: not known
	Budget   float64  // for an hour, of all the instances of the source; 0: no limit
	DryRun   bool     // decide, but do nothing for this source
}

// Limits bound how many directives are under way at a time, so that a provider is not flooded with
// requests.
type Limits struct {
	PerSource   int // directives under way of a source, creations and discards apart; 0: 8
	PerProvider int // and of all sources of a type; 0: 32
}

const (
	usualPerSource   = 8
	usualPerProvider = 32
	// aimLasts is how long an aim counts without being renewed. It is longer than another
	// controller needs to take over. It is short, as unneeded instances cost money after the last
	// controller was switched off.
	aimLasts = 10 * time.Minute
)

// slots are the directives under way at a source, or at all sources of a type.
type slots struct{ making, leaving loop.Slots }

// at counts what is under way at a source.
func (s *slots) at(c inventory.Counts) {
	s.making.Busy += c.Creating + c.SettingUp
	s.leaving.Busy += c.Discarding
}

// newSlots returns those with so many directives at most each, and none under way.
func newSlots(most int) *slots { return &slots{loop.Slots{Most: most}, loop.Slots{Most: most}} }

// Plan is the decision about one source, with the reason.
type Plan struct {
	Source     string
	Level      Level // of the strategy
	Wanted     int   // how many should exist, in use and not
	Kept       int   // how many may exist
	Have       int   // how many exist, cold ones left out
	Cold       int   // how many exist and are stopped
	Reason     string
	Broken     bool // the source cannot be used
	Directives []plan.Directive
	DryRun     bool
}

// Decide returns what is to be done, source by source, in the order of the snapshot. It is a pure
// function.
func Decide(policies map[string]Policy, limits Limits, snap plan.Snapshot) []Plan {
	limits.PerSource = cmp.Or(max(0, limits.PerSource), usualPerSource)
	limits.PerProvider = cmp.Or(max(0, limits.PerProvider), usualPerProvider)
	under := map[string]*slots{}
	for _, s := range snap.Sources {
		u := under[s.Type]
		if u == nil {
			u = newSlots(limits.PerProvider)
			under[s.Type] = u
		}
		u.at(s.Counts)
	}
	plans := make([]Plan, 0, len(snap.Sources))
	for k := range snap.Sources {
		s := &snap.Sources[k]
		p, u := policies[s.Name], under[s.Type]
		if p.DryRun { // directives that are not carried out take no other source's place
			apart := *u
			u = &apart
		}
		plans = append(plans, decide(p, limits, snap.Time, s, u))
	}
	return append(plans, leave(snap)...)
}

// sums are the numbers that a decision rests on.
type sums struct {
	level              Level
	busy, have         int
	asked              int // made for requests with choices of their own; in busy and have
	wanted, kept, room int // room: how many more may be made under the maximum
	most               int // how many may exist at all
	why                string
}

// there returns how many instances exist that any request can use.
func (n sums) there() int { return n.have - n.asked }

// weigh computes what a source should have, and what it has.
func weigh(p Policy, now time.Time, s *plan.SourceState) sums {
	strategy := p.Strategy
	if strategy == nil {
		strategy = Reserve{}
	}
	l := strategy.Level(now, *s)
	l.Keep = max(l.Keep, l.Spare)
	n := sums{
		level: l, asked: s.Asked, busy: s.Counts.InUse() + s.Booked + s.Asked,
		have: s.Counts.InUse() + s.Counts.Cached() - s.Cold + s.Asked, why: l.Reason,
	}
	asked := n.busy + s.Waiting
	n.wanted, n.kept, n.room, n.most = max(l.Reserve, asked+l.Spare), max(l.Reserve, asked+l.Keep), math.MaxInt32, math.MaxInt32
	if s.Waiting > 0 {
		n.why += fmt.Sprintf("; %d are waited for", s.Waiting)
	}
	if s.Asked > 0 {
		n.why += fmt.Sprintf("; %d are made for who asks for something of their own", s.Asked)
	}
	limit := func(most int, what string) {
		if n.wanted > most {
			n.why += fmt.Sprintf("; %s allows %d", what, most)
		}
		n.wanted, n.kept = min(n.wanted, most), min(n.kept, most)
		n.most = min(n.most, most)
	}
	if s.Maximum > 0 {
		limit(s.Maximum, "maximum")
		n.room = max(0, s.Maximum-s.Present-s.Asked)
	}
	// leased instances stay, whatever they cost; only no more are made
	if p.Budget > 0 && p.Price > 0 {
		limit(max(n.busy, int(math.Floor(p.Budget/p.Price+1e-9))), "the budget")
	}
	return n
}

// surplusOf reports whether a source may have too many ready instances, or use for cold ones. Then
// the snapshot must list them.
func surplusOf(p Policy, now time.Time, s plan.SourceState) bool {
	if s.Counts.Ready == 0 || s.Broken != nil {
		return false
	}
	n := weigh(p, now, &s)
	return n.there() > n.kept || s.Cold > s.ColdMost || s.Cold > 0 && n.have < n.wanted
}

// decide returns the plan for one source. It counts the plan's directives in provider, so that the
// sources of one type share its limit.
func decide(p Policy, limits Limits, now time.Time, s *plan.SourceState, provider *slots) Plan {
	n := weigh(p, now, s)
	out := Plan{
		Source: s.Name, Level: n.level, Wanted: n.wanted, Kept: n.kept, Have: n.there(), Cold: s.Cold, Reason: n.why,
		DryRun: p.DryRun,
	}
	if s.Broken != nil {
		out.Broken = true
		out.Reason = "it cannot be used: " + fault.Message(s.Broken)
		return out
	}
	do := func(d plan.Directive) {
		d.Source = s.Name
		out.Directives = append(out.Directives, d)
	}
	if s.Unready != nil {
		out.Reason += "; " + s.Unready.String()
	}
	if aim, changed := aimed(n.level, now, s); changed {
		same := s.Target.Until.After(now) && s.Target.Reserve == aim.Reserve && s.Target.Spare == aim.Spare
		do(plan.Directive{Verb: plan.VerbTarget, Target: aim, Again: same, Reason: n.level.Reason})
	}
	if d, due := ahead(p, n, now, s); due {
		do(d)
	}
	if s.Ahead != nil && s.Ahead.Count > 0 {
		out.Reason += fmt.Sprintf("; %d stand ahead", s.Ahead.Count)
	}
	here := newSlots(limits.PerSource)
	here.at(s.Counts)
	making, leaving := []*loop.Slots{&here.making, &provider.making}, []*loop.Slots{&here.leaving, &provider.leaving}
	switch {
	case n.have < n.wanted:
		grow(n, now, s, making, &out, do)
	case n.there() > n.kept:
		shrink(n, now, s, leaving, do)
	}
	for k, left := 0, s.Cold-s.ColdMost; k < len(s.Idlers) && left > 0 && loop.Room(leaving...) > 0; k++ {
		if i := s.Idlers[k]; i.Cold {
			left--
			loop.Take(1, leaving...)
			do(plan.Directive{
				Verb: plan.VerbDiscard, Instance: i.ID,
				Reason: fmt.Sprintf("%d are stopped, and %d may be", s.Cold, s.ColdMost),
			})
		}
	}
	return out
}

// aimed returns the aim that the source is to get. changed is false if it has it already.
func aimed(l Level, now time.Time, s *plan.SourceState) (aim inventory.Target, changed bool) {
	aim = inventory.Target{Reserve: l.Reserve, Spare: l.Keep, Until: now.Add(aimLasts)}
	alive := s.Target.Until.After(now)
	same := s.Target.Reserve == aim.Reserve && s.Target.Spare == aim.Spare
	if aim.Reserve == s.Reserve && aim.Spare == s.Spare { // what is configured needs no saying
		return aim, alive && !same
	}
	return aim, !alive || !same || s.Target.Until.Sub(now) < aimLasts/2
}

// grow starts cold instances, and then makes those that are still missing.
func grow(n sums, now time.Time, s *plan.SourceState, making []*loop.Slots, out *Plan, do func(plan.Directive)) {
	missing := n.wanted - n.have
	why := fmt.Sprintf("%d there and %d wanted: %s", n.there(), n.wanted, n.why)
	// the instance that was stopped last is the most like what requests want now
	for k := len(s.Idlers) - 1; k >= 0 && missing > 0 && loop.Room(making...) > 0; k-- {
		if i := s.Idlers[k]; i.Cold {
			do(plan.Directive{Verb: plan.VerbStart, Instance: i.ID, Reason: why})
			missing--
			loop.Take(1, making...)
		}
	}
	most := loop.Room(making...)
	count := min(missing, n.room, most)
	if missing > 0 && s.Paused.After(now) {
		out.Reason += fmt.Sprintf("; nothing is made for %v, as it failed: %s", s.Paused.Sub(now).Round(time.Second), s.LastError)
		return
	}
	if s.Failures > 0 { // after a failure one is tried, and not many
		count = min(count, 1-min(1, making[0].Busy))
	}
	if count > 0 {
		if count == most && most < min(missing, n.room) {
			why += fmt.Sprintf("; %d more may be under way now, and the others follow", most)
		}
		loop.Take(count, making...)
		do(plan.Directive{Verb: plan.VerbCreate, Count: count, Total: n.wanted, Reason: why})
	} else if missing > 0 && n.room == 0 {
		out.Reason += "; there is no place under the maximum before others are gone"
	}
}

// shrink stops or discards ready instances that have been idle for long enough, the longest first.
func shrink(n sums, now time.Time, s *plan.SourceState, leaving []*loop.Slots, do func(plan.Directive)) {
	// Instances that are being made or cleaned may fail. No ready instance goes for them before
	// they are ready too. An instance that a request waits for counts as in use.
	firm := n.busy - n.asked + s.Counts.Ready - s.Cold
	surplus, cold := min(n.there(), firm)-n.kept, s.Cold
	// the number in use at this moment says little: only instances that were idle for so long,
	// beside the spare ones, are too many
	if s.Idle > 0 {
		surplus = min(surplus, s.Tired-min(n.level.Keep, max(0, n.kept-n.busy)))
	}
	for _, i := range s.Idlers {
		idle := now.Sub(i.Since)
		if surplus <= 0 || loop.Room(leaving...) == 0 {
			return
		}
		if i.Cold || idle < s.Idle {
			continue
		}
		d := plan.Directive{Verb: plan.VerbDiscard, Instance: i.ID, Least: max(0, n.kept-s.Booked+s.Cold),
			Reason: fmt.Sprintf(
				"%d there and %d kept, and this one stood idle for %v: %s", n.there(), n.kept, idle.Round(time.Second),
				n.why,
			)}
		if cold < s.ColdMost {
			d.Verb = plan.VerbStop
			cold++
		}
		surplus--
		loop.Take(1, leaving...)
		do(d)
	}
}
