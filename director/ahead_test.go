package director_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// aheads are the numbers that plans say are to stand ahead.
func aheads(plans []director.Plan) string {
	var out []string
	for _, p := range plans {
		for _, d := range p.Directives {
			if d.Verb == plan.VerbAhead {
				out = append(out, fmt.Sprint(d.Count))
			}
		}
	}
	return strings.Join(out, " ")
}

// TestAhead says how many stand ahead of a source: what the rate of its leases needs beside its
// spare ones, within the maximum; more soon, less late, and nothing twice.
func TestAhead(t *testing.T) {
	busy := func(n int) plan.Demand { return plan.Demand{Given: n, Window: 10 * time.Minute, Late: n / 10} }
	for _, c := range []struct {
		name   string
		s      plan.SourceState
		a      plan.AheadState
		policy director.Policy
		want   string // that is said; "": nothing
	}{
		{"at first", plan.SourceState{}, plan.AheadState{}, director.Policy{}, "0"},
		{"nothing asked for", plan.SourceState{}, plan.AheadState{Said: noon.Add(-time.Minute)}, director.Policy{}, ""},
		{
			"the least", plan.SourceState{},
			plan.AheadState{Prewarming: provider.Prewarming{Least: 3}, Said: noon.Add(-time.Minute)}, director.Policy{}, "3",
		},
		{
			"by the rate", plan.SourceState{Demand: busy(600)},
			plan.AheadState{Prewarming: provider.Prewarming{Lead: 5 * time.Second}, Said: noon.Add(-time.Minute)},
			director.Policy{}, "10",
		},
		{
			"with another hit rate",
			plan.SourceState{Spare: 10, Demand: plan.Demand{Given: 600, Late: 60, Window: 10 * time.Minute, Made: time.Millisecond}},
			plan.AheadState{Prewarming: provider.Prewarming{Lead: 5 * time.Second}, Said: noon.Add(-time.Minute)},
			director.Policy{Strategy: director.Larger{director.Demand{HitRate: 0.999}}}, "4",
		},
		{
			"beside the spare ones", plan.SourceState{Demand: busy(600), Spare: 4},
			plan.AheadState{Prewarming: provider.Prewarming{Lead: 5 * time.Second}, Said: noon.Add(-time.Minute)},
			director.Policy{}, "6",
		},
		{
			"enough spare ones", plan.SourceState{Demand: busy(600), Spare: 40},
			plan.AheadState{Prewarming: provider.Prewarming{Lead: 5 * time.Second}, Said: noon.Add(-time.Minute)},
			director.Policy{}, "",
		},
		{
			"within the maximum",
			plan.SourceState{Demand: busy(600), Spare: 4, Maximum: 10, Counts: inventory.Counts{Leased: 3, Ready: 4}, Present: 8},
			plan.AheadState{Prewarming: provider.Prewarming{Lead: 5 * time.Second, Least: 9}, Said: noon.Add(-time.Minute)},
			director.Policy{}, "2",
		},
		{
			"within the budget", plan.SourceState{Spare: 4, Counts: inventory.Counts{Ready: 4}, Present: 4},
			plan.AheadState{Prewarming: provider.Prewarming{Least: 9}, Said: noon.Add(-time.Minute)},
			director.Policy{Price: 1, Budget: 5}, "1",
		},
		{
			"no more than what is wanted leaves", plan.SourceState{Spare: 9, Maximum: 10},
			plan.AheadState{Prewarming: provider.Prewarming{Least: 9}, Said: noon.Add(-time.Minute)}, director.Policy{}, "1",
		},
		{
			"too many for the maximum, at once",
			plan.SourceState{Maximum: 10, Counts: inventory.Counts{Leased: 8}, Present: 8},
			plan.AheadState{Prewarming: provider.Prewarming{Least: 5}, Count: 5, Said: noon}, director.Policy{}, "2",
		},
		{
			"more, but a moment ago there was a change", plan.SourceState{},
			plan.AheadState{Prewarming: provider.Prewarming{Least: 5}, Count: 4, Said: noon.Add(-9 * time.Second)},
			director.Policy{}, "",
		},
		{"less, not yet", plan.SourceState{}, plan.AheadState{Count: 4, Said: noon.Add(-59 * time.Second)}, director.Policy{}, ""},
		{"less", plan.SourceState{}, plan.AheadState{Count: 4, Said: noon.Add(-time.Minute)}, director.Policy{}, "0"},
		{
			"less, but within the noise", plan.SourceState{Demand: busy(60)},
			plan.AheadState{Prewarming: provider.Prewarming{Lead: time.Minute}, Count: 13, Said: noon.Add(-9 * time.Minute)},
			director.Policy{}, "",
		},
		{
			"said long ago", plan.SourceState{},
			plan.AheadState{Prewarming: provider.Prewarming{Least: 3}, Count: 3, Said: noon.Add(-10 * time.Minute)},
			director.Policy{}, "3",
		},
		{"being said", plan.SourceState{}, plan.AheadState{Prewarming: provider.Prewarming{Least: 3}, Busy: true}, director.Policy{}, ""},
		{
			"failed this moment", plan.SourceState{},
			plan.AheadState{Prewarming: provider.Prewarming{Least: 3}, Count: 3, Failed: true, Said: noon.Add(-9 * time.Second)},
			director.Policy{}, "",
		},
		{
			"failed", plan.SourceState{},
			plan.AheadState{Prewarming: provider.Prewarming{Least: 3}, Count: 3, Failed: true, Said: noon.Add(-10 * time.Second)},
			director.Policy{}, "3",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.s.Name, c.s.Ahead = "web", &c.a
			got := aheads(director.Decide(
				map[string]director.Policy{"web": c.policy}, director.Limits{},
				plan.Snapshot{Time: noon, Sources: []plan.SourceState{c.s}},
			))
			if got != c.want {
				t.Errorf("it says %q, not %q", got, c.want)
			}
		})
	}
}

// TestSaidAgain: what is so already, and is but said again, is told from what changes something.
func TestSaidAgain(t *testing.T) {
	aim := func(spare int, left time.Duration) inventory.Target {
		return inventory.Target{Spare: spare, Until: noon.Add(left)}
	}
	two := director.Policy{Strategy: level{Spare: 2, Keep: 2}}
	for _, c := range []struct {
		name   string
		policy director.Policy
		s      plan.SourceState
		again  bool
	}{
		{"nothing ahead, at first", director.Policy{}, plan.SourceState{Ahead: &plan.AheadState{}}, true},
		{
			"ahead, said long ago", director.Policy{},
			plan.SourceState{Ahead: &plan.AheadState{Prewarming: provider.Prewarming{Least: 3}, Count: 3, Said: noon.Add(-time.Hour)}},
			true,
		},
		{
			"ahead, and it failed", director.Policy{},
			plan.SourceState{Ahead: &plan.AheadState{Count: 0, Failed: true, Said: noon.Add(-time.Hour)}}, false,
		},
		{
			"more ahead", director.Policy{},
			plan.SourceState{Ahead: &plan.AheadState{Prewarming: provider.Prewarming{Least: 3}, Said: noon.Add(-time.Hour)}},
			false,
		},
		{"an aim that is soon over", two, plan.SourceState{Counts: inventory.Counts{Ready: 2}, Target: aim(2, time.Minute)}, true},
		{"an aim that is over", two, plan.SourceState{Counts: inventory.Counts{Ready: 2}, Target: aim(2, -time.Minute)}, false},
		{"another aim", two, plan.SourceState{Counts: inventory.Counts{Ready: 2}, Target: aim(1, time.Minute)}, false},
	} {
		c.s.Name = "web"
		ds := director.Decide(
			map[string]director.Policy{"web": c.policy}, director.Limits{},
			plan.Snapshot{Time: noon, Sources: []plan.SourceState{c.s}},
		)[0].Directives
		if len(ds) != 1 || ds[0].Again != c.again {
			t.Errorf("%s: ds = %+v; want len(ds) == 1 and ds[0].Again == c.again", c.name, ds)
		}
	}
}

// TestAheadBounds: whatever is asked for and stands there, what is said never is more than the
// maximum leaves, nor less than nothing.
func TestAheadBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
		s := plan.SourceState{
			Name: "web", Spare: n("spare", 20), Reserve: n("reserve", 20), Waiting: n("waiting", 20), Maximum: 1 + n("maximum", 50),
			Counts: inventory.Counts{
				Ready: n("ready", 20), Leased: n("leased", 20), Creating: n("creating", 5),
				Discarding: n("discarding", 5),
			},
			Demand: plan.Demand{
				Given: n("given", 5000), Late: n("late", 1000), Window: 10 * time.Minute,
				Spread: float64(n("spread", 30)),
			},
			Ahead: &plan.AheadState{
				Prewarming: provider.Prewarming{Least: n("least", 60), Lead: time.Duration(n("lead", 100)) * time.Second},
				Count:      n("count", 60), Said: noon.Add(-time.Duration(n("said", 1000)) * time.Second),
			},
		}
		s.Present = s.Counts.Present()
		plans := director.Decide(nil, director.Limits{}, plan.Snapshot{Time: noon, Sources: []plan.SourceState{s}})
		room := max(0, s.Maximum-s.Present)
		for _, d := range plans[0].Directives {
			if d.Verb == plan.VerbAhead && (d.Count < 0 || d.Count > room) {
				t.Fatalf("%d are to stand ahead, and there is room for %d", d.Count, room)
			}
		}
		if said := aheads(plans); s.Ahead.Count > room && said == "" {
			t.Fatalf("%d stand ahead, there is room for %d, and nothing is said", s.Ahead.Count, room)
		}
	})
}

// ground is where computers stand ahead of sources: what it was told, in order.
type ground struct {
	compute.Provider
	mu    sync.Mutex
	least int
	told  []int
	err   error
	off   bool // it is configured otherwise, without
}

func (p *ground) Unwrap() compute.Provider { return p.Provider }

func (p *ground) Reserves() (provider.Prewarming, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return provider.Prewarming{Least: p.least, Lead: 5 * time.Second, Place: "here"}, !p.off
}

func (p *ground) Reserve(_ context.Context, n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, n)
	return p.err
}

func (p *ground) want(t *testing.T, what string, want ...int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.told, want) {
		t.Fatalf("%s: it was told %v, not %v", what, p.told, want)
	}
}

// TestAheadIsSaid has what stands ahead follow what is asked for, be said once, and again after a
// failure and to whoever directs next.
func TestAheadIsSaid(t *testing.T) {
	p := &ground{least: 1}
	directed(t, setting{
		source: pool.Source{Spare: 1, Ahead: true},
		wrap:   func(of compute.Provider) compute.Provider { p.Provider = of; return p },
	}, func(ctx context.Context, r *rig) {
		time.Sleep(5 * time.Second)
		p.want(t, "at first", 1)
		time.Sleep(9 * time.Minute)
		p.want(t, "as long as nothing is asked for", 1)
		for range 60 { // one a second
			r.give(ctx, r.take(ctx, 1)...)
			time.Sleep(time.Second)
		}
		p.mu.Lock()
		told := slices.Clone(p.told)
		p.mu.Unlock()
		if len(told) > 8 || told[len(told)-1] < 6 || !slices.IsSorted(told) {
			t.Fatalf("while one a second comes it was told %v", told)
		}
		time.Sleep(11 * time.Minute)
		p.mu.Lock()
		less := p.told[len(told):]
		p.err, p.least, p.told = errors.New("away"), 2, nil
		p.mu.Unlock()
		if len(less) == 0 || len(less) > 6 || less[len(less)-1] != 1 {
			t.Fatalf("when none comes any more it was told %v", less)
		}
		time.Sleep(2 * time.Hour)
		p.mu.Lock()
		failing := len(p.told)
		p.err, p.told = nil, nil
		p.mu.Unlock()
		if failing < 10 || failing > 2*3600/10+1 {
			t.Errorf("it was told %d times in two hours of failing", failing)
		}
		time.Sleep(30 * time.Second)
		p.want(t, "after the failure", 2)
		var said []string
		for _, e := range r.events("directive") {
			if e.Data["do"] == "ahead" {
				said = append(said, e.Data["count"])
			}
		}
		// what is said again is no news
		if len(said) != len(told)+len(less)+1 || said[0] != "1" || said[len(said)-1] != "2" {
			t.Errorf("the journal has %v", said)
		}

		// Another process directs, with the source as it is, and then without.
		r.end()
		ctx = context.Background()
		for _, c := range []struct {
			what    string
			off     bool
			sources []pool.Source
			want    []int
		}{
			{"another directs", false, []pool.Source{{Name: "web", Type: "fake", Digest: "d", Spare: 1, Ahead: true}}, []int{2}},
			{
				"its definition changes, and the place does not", false,
				[]pool.Source{{Name: "web", Type: "fake", Digest: "e", Spare: 1, Ahead: true}}, []int{2},
			},
			{"it has none of them any more", true, []pool.Source{{Name: "web", Type: "fake", Digest: "e", Spare: 1, Ahead: true}}, nil},
			{"it has them again", false, []pool.Source{{Name: "web", Type: "fake", Digest: "e", Spare: 1, Ahead: true}}, []int{2}},
			{"it is there no more", false, []pool.Source{{Name: "other", Type: "fake", Digest: "d"}}, []int{0}},
		} {
			p.mu.Lock()
			p.told, p.off = nil, c.off
			p.mu.Unlock()
			q, err := pool.New(pool.Options{Store: r.store, Sources: c.sources,
				NewID: func() string { return fmt.Sprint(time.Now().UnixNano()) },
				Open:  func(context.Context, string, string, []byte) (compute.Provider, error) { return p, nil }})
			if err != nil {
				t.Fatal(err)
			}
			d, err := director.New(director.Options{Pool: q})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(ctx)
			ended := make(chan error)
			go func() { ended <- d.Run(ctx) }()
			time.Sleep(50 * time.Second)
			stop()
			<-ended
			p.want(t, c.what, c.want...)
		}
	})
}

// TestAheadIsNotTheCallers: whoever takes and gives back waits for nothing that stands ahead, and
// without a director nothing is said.
func TestAheadIsNotTheCallers(t *testing.T) {
	p := &ground{}
	directed(t, setting{
		source: pool.Source{Maximum: 3}, wrap: func(of compute.Provider) compute.Provider { p.Provider = of; return p },
	}, func(ctx context.Context, r *rig) {
		r.follows.Store(true)
		time.Sleep(time.Minute)
		p.mu.Lock()
		p.told = nil
		p.mu.Unlock()
		r.give(ctx, r.take(ctx, 3)...)
		time.Sleep(time.Minute)
		p.want(t, "with nobody who directs")
	})
}
