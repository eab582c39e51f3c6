package director_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/director/plan"
)

var noon = time.Date(2031, 5, 14, 12, 0, 0, 0, time.UTC)

// idlers are ready instances that stand idle for so many minutes, the longest first; a minus sign
// marks a cold one.
func idlers(minutes ...int) (out []plan.Idler) {
	for _, m := range minutes {
		out = append(
			out,
			plan.Idler{
				ID:    compute.ID(fmt.Sprintf("web-%d", max(m, -m))),
				Since: noon.Add(-time.Duration(max(m, -m)) * time.Minute), Cold: m < 0,
			},
		)
	}
	return out
}

// tired counts the running ones that have been idle for long enough.
func tired(s plan.SourceState, now time.Time) (n int) {
	for _, i := range s.Idlers {
		if !i.Cold && now.Sub(i.Since) >= s.Idle {
			n++
		}
	}
	return n
}

// words are the directives of a plan in short.
func words(ds []plan.Directive) string {
	var out []string
	for _, d := range ds {
		switch d.Verb {
		case plan.VerbCreate:
			out = append(out, fmt.Sprintf("create %d", d.Count))
		case plan.VerbTarget:
			out = append(out, fmt.Sprintf("aim %d %d", d.Target.Reserve, d.Target.Spare))
		default:
			out = append(out, fmt.Sprintf("%s %s", d.Verb, d.Instance))
		}
	}
	return strings.Join(out, ", ")
}

// level is a strategy that says always the same.
type level director.Level

func (l level) Level(time.Time, plan.SourceState) director.Level { return director.Level(l) }

// failedFour is a source that failed to make an instance four times in a row.
var failedFour = inventory.Health{Backoff: inventory.Backoff{Failures: 4}}

func TestDecide(t *testing.T) {
	counts := func(ready, leased int) inventory.Counts { return inventory.Counts{Ready: ready, Leased: leased} }
	for _, c := range []struct {
		name   string
		policy director.Policy
		state  plan.SourceState
		want   string
		reason string // is in the plan's reason, or in the first directive's
	}{
		{"nothing is wanted", director.Policy{}, plan.SourceState{}, "", ""},
		{
			"one short", director.Policy{}, plan.SourceState{Reserve: 2, Counts: counts(1, 0)}, "create 1",
			"1 there and 2 wanted: reserve 2",
		},
		{
			"spare ones beside those in use", director.Policy{},
			plan.SourceState{Reserve: 2, Spare: 2, Counts: counts(1, 4)}, "create 1", "spare 2",
		},
		{
			"maximum holds", director.Policy{},
			plan.SourceState{Reserve: 9, Maximum: 3, Present: 2, Counts: counts(0, 2)}, "create 1",
			"maximum allows 3",
		},
		{
			"those on the way out take places", director.Policy{},
			plan.SourceState{Reserve: 3, Maximum: 3, Present: 3, Counts: inventory.Counts{Discarding: 3}}, "",
			"no place under the maximum",
		},
		{
			"what is being made counts", director.Policy{},
			plan.SourceState{Reserve: 3, Counts: inventory.Counts{Creating: 2, SettingUp: 1}}, "", "",
		},
		{
			"what is made for a request is as good as in use", director.Policy{},
			plan.SourceState{Spare: 1, Booked: 2, Counts: inventory.Counts{Creating: 2}}, "create 1", "",
		},
		{"what is waited for", director.Policy{}, plan.SourceState{Spare: 1, Waiting: 3}, "create 4", "3 are waited for"},
		{
			"no storm", director.Policy{}, plan.SourceState{Reserve: 100}, "create 8",
			"0 there and 100 wanted: reserve 100; 8 more may be under way now, and the others follow",
		},
		{"a storm under way", director.Policy{}, plan.SourceState{Reserve: 100, Counts: inventory.Counts{Creating: 5}}, "create 3", ""},
		{
			"paused", director.Policy{},
			plan.SourceState{Reserve: 2,
				Health: inventory.Health{Backoff: inventory.Backoff{Paused: noon.Add(time.Minute), LastError: "quota"}}}, "",
			"nothing is made for 1m0s, as it failed: quota",
		},
		{"after a failure one is tried", director.Policy{}, plan.SourceState{Reserve: 5, Health: failedFour}, "create 1", ""},
		{"and no second one", director.Policy{}, plan.SourceState{Reserve: 5, Health: failedFour,
			Counts: inventory.Counts{Creating: 1}}, "", ""},
		{"broken", director.Policy{}, plan.SourceState{Reserve: 5,
			Health: inventory.Health{Broken: errors.New("no such key")}}, "", "no such key"},

		{
			"nothing of what was changed becomes ready", director.Policy{},
			plan.SourceState{
				Spare: 1, Counts: counts(1, 0),
				Health: inventory.Health{Unready: &inventory.Unready{Since: noon, Changed: inventory.ChangedKeys,
					Failures: 2, Why: "no node"}},
			},
			"",
			"; nothing by the changed configuration has become ready since " + noon.Local().Format(time.DateTime) + ": no node",
		},
		{
			"surplus, the longest idle first", director.Policy{},
			plan.SourceState{Reserve: 1, Counts: counts(3, 0), Idlers: idlers(30, 20, 10)},
			"discard web-30, discard web-20", "stood idle for 30m0s",
		},
		{
			"not before idle", director.Policy{},
			plan.SourceState{Reserve: 1, Idle: 25 * time.Minute, Counts: counts(3, 0), Idlers: idlers(30, 20, 10)},
			"discard web-30", "",
		},
		{
			"booting ones are no surplus to kill", director.Policy{},
			plan.SourceState{Reserve: 1, Counts: inventory.Counts{Creating: 4, Ready: 1}, Idlers: idlers(3)}, "", "",
		},
		{
			"what stands ready does not go for what is being made", director.Policy{},
			plan.SourceState{
				Spare: 2, Counts: inventory.Counts{Creating: 1, SettingUp: 1, Cleaning: 1, Ready: 3, Leased: 1},
				Idlers: idlers(9, 8, 7),
			},
			"discard web-9", "",
		},
		{
			"what a request waits for is as good as in use", director.Policy{},
			plan.SourceState{Spare: 1, Booked: 2, Counts: inventory.Counts{Creating: 2, Ready: 2}, Idlers: idlers(9, 8)},
			"discard web-9", "",
		},
		{
			"only booting ones", director.Policy{},
			plan.SourceState{Reserve: 1, Counts: inventory.Counts{Creating: 4, SettingUp: 3}}, "", "",
		},
		{"never what is in use", director.Policy{}, plan.SourceState{Counts: counts(0, 5)}, "", ""},
		{
			"what waits for a request is not surplus", director.Policy{},
			plan.SourceState{Waiting: 2, Counts: counts(2, 0), Idlers: idlers(9, 8)}, "", "",
		},
		{
			"keep is above spare", director.Policy{Strategy: level{Spare: 1, Keep: 3}},
			plan.SourceState{
				Target: inventory.Target{Spare: 3, Until: noon.Add(9 * time.Minute)}, Counts: counts(4, 0),
				Idlers: idlers(9, 8, 7, 6),
			},
			"discard web-9", "",
		},

		{
			"stopped before discarded", director.Policy{},
			plan.SourceState{ColdMost: 1, Counts: counts(2, 0), Idlers: idlers(9, 8)}, "stop web-9, discard web-8",
			"",
		},
		{
			"cold ones are no surplus", director.Policy{},
			plan.SourceState{Reserve: 1, ColdMost: 2, Cold: 2, Counts: counts(3, 0), Idlers: idlers(-9, -8, 7)}, "",
			"",
		},
		{
			"started before made", director.Policy{},
			plan.SourceState{Reserve: 3, ColdMost: 2, Cold: 2, Counts: counts(2, 0), Idlers: idlers(-9, -8)},
			"start web-8, start web-9, create 1", "",
		},
		{
			"started though it is paused", director.Policy{},
			plan.SourceState{Reserve: 3, ColdMost: 2, Cold: 1, Counts: counts(1, 0), Idlers: idlers(-9),
				Health: inventory.Health{Backoff: inventory.Backoff{Paused: noon.Add(time.Hour)}}},
			"start web-9", "",
		},
		{
			"no more cold ones than may be discarded at a time", director.Policy{},
			plan.SourceState{
				Cold: 3, Counts: inventory.Counts{Ready: 3, Discarding: 6}, Idlers: idlers(-9, -8, -7),
			}, "discard web-9, discard web-8", "",
		},
		{
			"too many cold ones", director.Policy{},
			plan.SourceState{ColdMost: 1, Cold: 2, Counts: counts(2, 0), Idlers: idlers(-9, -8)}, "discard web-9",
			"2 are stopped, and 1 may be",
		},

		{
			"budget", director.Policy{Price: 0.5, Budget: 2}, plan.SourceState{Reserve: 10, Counts: counts(1, 1)},
			"create 2", "the budget allows 4",
		},
		{
			"a budget that is spent", director.Policy{Price: 1, Budget: 2},
			plan.SourceState{Spare: 3, Counts: counts(1, 5), Idlers: idlers(9)}, "discard web-9", "",
		},
		{"an exact budget", director.Policy{Price: 0.1, Budget: 0.3}, plan.SourceState{Reserve: 10}, "create 3", ""},
		{"a price alone", director.Policy{Price: 1}, plan.SourceState{Reserve: 3}, "create 3", ""},

		{
			"an aim is said", director.Policy{Strategy: level{Reserve: 2, Spare: 1, Reason: "so it is"}},
			plan.SourceState{Counts: counts(2, 0)}, "aim 2 1", "",
		},
		{
			"an aim stands", director.Policy{Strategy: level{Reserve: 2, Spare: 1, Reason: "so it is"}},
			plan.SourceState{Target: inventory.Target{Reserve: 2, Spare: 1, Until: noon.Add(6 * time.Minute)}, Counts: counts(2, 0)},
			"", "",
		},
		{
			"an aim ends soon", director.Policy{Strategy: level{Reserve: 2, Spare: 1, Reason: "so it is"}},
			plan.SourceState{Target: inventory.Target{Reserve: 2, Spare: 1, Until: noon.Add(4 * time.Minute)}, Counts: counts(2, 0)},
			"aim 2 1", "",
		},
		{
			"an aim is over", director.Policy{},
			plan.SourceState{Reserve: 1, Target: inventory.Target{Reserve: 9, Until: noon.Add(9 * time.Minute)}, Counts: counts(1, 0)},
			"aim 1 0", "",
		},
		{
			"an old aim does no harm", director.Policy{},
			plan.SourceState{Reserve: 1, Target: inventory.Target{Reserve: 9, Until: noon.Add(-time.Minute)}, Counts: counts(1, 0)},
			"", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.state.Name, c.state.Tired = "web", tired(c.state, noon)
			plans := director.Decide(
				map[string]director.Policy{"web": c.policy}, director.Limits{},
				plan.Snapshot{Time: noon, Sources: []plan.SourceState{c.state}},
			)
			if len(plans) != 1 || words(plans[0].Directives) != c.want {
				t.Fatalf("got %s, want %s", words(plans[0].Directives), c.want)
			}
			said := plans[0].Reason
			for _, d := range plans[0].Directives {
				said += "; " + d.Reason
				if d.Reason == "" || d.Source != "web" {
					t.Errorf("%+v says no reason or no source", d)
				}
			}
			if !strings.Contains(said, c.reason) {
				t.Errorf("it says %q, and nothing of %q", said, c.reason)
			}
			wants := slices.ContainsFunc(plans[0].Directives, func(d plan.Directive) bool { return d.Instance != "" })
			if c.state.Counts.Ready > 0 && wants && !director.Surplus(c.policy, noon, c.state) {
				t.Error("the snapshot would not have been asked for its ready instances")
			}
		})
	}
}

func TestLimitOfAProvider(t *testing.T) {
	snap := plan.Snapshot{Time: noon}
	for n := range 10 {
		s := plan.SourceState{Name: fmt.Sprintf("s%d", n), Type: "vm", Reserve: 5}
		if n == 9 {
			s.Counts.Creating = 2
		}
		snap.Sources = append(snap.Sources, s)
	}
	snap.Sources = append(snap.Sources, plan.SourceState{Name: "other", Type: "fake", Reserve: 5})
	sum, other := 0, 0
	for _, p := range director.Decide(nil, director.Limits{PerProvider: 12}, snap) {
		for _, d := range p.Directives {
			if d.Source == "other" {
				other += d.Count
			} else {
				sum += d.Count
			}
		}
	}
	if sum != 10 || other != 5 {
		t.Errorf("%d of type vm and %d of another are made at once, want 10 and 5", sum, other)
	}
}

// place is a source with instances that boot, for properties: it does at once what a director says,
// and at random what users do.
type place struct {
	state   plan.SourceState
	booting []int // rounds that each needs
	now     time.Time
	made    int
	flaps   int // directives that made or took something away
}

func (p *place) snapshot() plan.Snapshot {
	s := p.state
	s.Counts.Creating = len(p.booting)
	s.Present = s.Counts.Present()
	s.Idlers = slices.Clone(s.Idlers)
	s.Tired = tired(s, p.now)
	return plan.Snapshot{Time: p.now, Sources: []plan.SourceState{s}}
}

// round has the director look once and a minute pass.
func (p *place) round(t interface{ Fatalf(string, ...any) }, policy director.Policy, boot int) {
	for _, made := range director.Decide(map[string]director.Policy{"web": policy}, director.Limits{}, p.snapshot()) {
		for _, d := range made.Directives {
			if d.Verb != plan.VerbTarget {
				p.flaps++
			}
			find := func() int {
				n := slices.IndexFunc(p.state.Idlers, func(i plan.Idler) bool { return i.ID == d.Instance })
				if n < 0 {
					t.Fatalf("%s of %s, which is not ready", d.Verb, d.Instance)
				}
				return n
			}
			switch d.Verb {
			case plan.VerbTarget:
				p.state.Target = d.Target
			case plan.VerbCreate:
				for range d.Count {
					p.booting = append(p.booting, boot)
				}
			case plan.VerbDiscard:
				n := find()
				if p.state.Idlers[n].Cold {
					p.state.Cold--
				}
				p.state.Idlers = slices.Delete(p.state.Idlers, n, n+1)
				p.state.Counts.Ready--
			case plan.VerbStop, plan.VerbStart:
				n := find()
				p.state.Idlers[n].Cold = d.Verb == plan.VerbStop
				if d.Verb == plan.VerbStop {
					p.state.Cold++
				} else {
					p.state.Cold--
				}
			}
		}
	}
	p.now = p.now.Add(time.Minute)
	var still []int
	for _, b := range p.booting {
		if b > 1 {
			still = append(still, b-1)
			continue
		}
		p.made++
		p.state.Counts.Ready++
		p.state.Idlers = append(p.state.Idlers, plan.Idler{ID: compute.ID(fmt.Sprint("web-", p.made)), Since: p.now})
	}
	p.booting = still
}

// TestDryRunTakesNoPlace: what is only said keeps nothing from being made at the other sources of a
// type.
func TestDryRunTakesNoPlace(t *testing.T) {
	plans := director.Decide(map[string]director.Policy{"said": {DryRun: true}}, director.Limits{PerSource: 8,
		PerProvider: 8}, plan.Snapshot{Time: noon, Sources: []plan.SourceState{
		{Name: "said", Type: "fake", Spare: 8}, {Name: "web", Type: "fake", Spare: 8},
	}})
	for _, p := range plans {
		if got := words(p.Directives); got != "create 8" {
			t.Errorf(`%s: got = %q; want got == "create 8"`, p.Source, got)
		}
	}
}

// TestProperties: whatever users do, there are never more than the maximum, what is in use stays,
// and when they rest the source comes to what is wanted and then nothing moves any more.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
		p := &place{now: noon, state: plan.SourceState{Name: "web", Reserve: number("reserve", 12),
			Spare: number("spare", 6), Maximum: number("maximum", 15),
			ColdMost: number("cold", 3), Idle: time.Duration(number("idle", 5)) * time.Minute}}
		policy := director.Policy{Price: float64(number("price", 3)), Budget: float64(number("budget", 30))}
		boot := 1 + number("boot", 4)
		check := func() {
			s := p.snapshot().Sources[0]
			if n := s.Counts.Present(); s.Maximum > 0 && n > s.Maximum {
				t.Fatalf("%d are there, and the maximum is %d", n, s.Maximum)
			}
			if s.Cold > s.ColdMost {
				t.Fatalf("%d are stopped, and %d may be", s.Cold, s.ColdMost)
			}
		}
		for range number("rounds", 40) {
			c := &p.state.Counts
			for range number("taken", 3) {
				if n := slices.IndexFunc(p.state.Idlers, func(i plan.Idler) bool { return !i.Cold }); n >= 0 {
					p.state.Idlers = slices.Delete(p.state.Idlers, n, n+1)
					c.Ready--
					c.Leased++
				}
			}
			if back := min(number("back", 3), c.Leased); back > 0 {
				for k := range back {
					p.state.Idlers = append(
						p.state.Idlers,
						plan.Idler{ID: compute.ID(fmt.Sprint("web-back-", p.now.Unix(), "-", k)), Since: p.now},
					)
				}
				c.Ready += back
				c.Leased -= back
			}
			leased := c.Leased
			p.round(t, policy, boot)
			if c.Leased != leased {
				t.Fatalf("%d were in use and %d are", leased, c.Leased)
			}
			check()
		}
		for range 60 {
			p.round(t, policy, boot)
			check()
		}
		before := p.flaps
		plans := director.Decide(map[string]director.Policy{"web": policy}, director.Limits{}, p.snapshot())
		for range 30 {
			p.round(t, policy, boot)
		}
		if p.flaps != before {
			t.Fatalf("%d directives after an hour of rest; the last plan was %+v", p.flaps-before, plans[0])
		}
		s := p.snapshot().Sources[0]
		wanted := max(s.Reserve, s.Counts.Leased+s.Spare)
		if s.Maximum > 0 {
			wanted = min(wanted, s.Maximum)
		}
		if policy.Price > 0 && policy.Budget > 0 {
			wanted = min(wanted, max(s.Counts.Leased, int(policy.Budget/policy.Price)))
		}
		if have := s.Counts.Ready + s.Counts.Leased - s.Cold; have != wanted &&
			!(s.Maximum > 0 && s.Counts.Present() == s.Maximum && s.Cold > 0) {
			t.Fatalf("%d are there and %d are wanted: %+v", have, wanted, plans[0])
		}
	})
}
