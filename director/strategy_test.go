package director_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/director/plan"
)

func window(t testing.TB, name, begin, end string, reserve, spare int) director.Window {
	t.Helper()
	w, err := director.NewWindow(name, begin, end)
	if err != nil {
		t.Fatal(err)
	}
	w.Reserve, w.Spare = reserve, spare
	return w
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("zone: %v", err)
	}
	return z
}

func TestSchedule(t *testing.T) {
	work := window(t, "work", "0 9 * * 1-5", "0 17 * * 1-5", 0, 5)
	night := window(t, "night", "0 22 * * *", "30 6 * * *", 0, 2)
	early := window(t, "early", "30 2 * * *", "0 4 * * *", 0, 3)
	again := window(t, "again", "0 9-16 * * *", "0 17 * * *", 0, 4) // begins anew while it is open
	lunch := window(t, "lunch", "0 12 * * *", "0 13 * * *", 7, 1)
	weekly := window(t, "weekly", "0 8 * * 1", "0 20 * * 5", 0, 1)
	daily := window(t, "daily", "@daily", "0 1 * * *", 0, 9)
	berlin := zone(t, "Europe/Berlin")
	for _, c := range []struct {
		at             string
		zone           *time.Location
		windows        []director.Window
		reserve, spare int
	}{
		{"2031-05-14T08:59:59", time.UTC, []director.Window{work}, 0, 0},
		{"2031-05-14T09:00:00", time.UTC, []director.Window{work}, 0, 5},
		{"2031-05-14T16:59:59", time.UTC, []director.Window{work}, 0, 5},
		{"2031-05-14T17:00:00", time.UTC, []director.Window{work}, 0, 0},
		{"2031-05-17T12:00:00", time.UTC, []director.Window{work}, 0, 0}, // a Saturday
		{"2031-05-14T07:30:00", berlin, []director.Window{work}, 0, 5},   // 9:30 there
		{"2031-05-14T15:30:00", berlin, []director.Window{work}, 0, 0},   // 17:30 there
		{"2031-05-14T23:59:00", nil, []director.Window{night}, 0, 2},
		{"2031-05-15T00:00:00", nil, []director.Window{night}, 0, 2},
		{"2031-05-15T06:29:00", nil, []director.Window{night}, 0, 2},
		{"2031-05-15T06:30:00", nil, []director.Window{night}, 0, 0},
		{"2031-05-14T12:30:00", nil, []director.Window{work, lunch}, 7, 5}, // the larger of each
		{"2031-05-14T12:30:00", nil, []director.Window{lunch, work}, 7, 5},
		{"2031-05-14T11:30:00", nil, []director.Window{again}, 0, 4},
		{"2031-05-14T17:30:00", nil, []director.Window{again}, 0, 0},
		{"2031-05-15T03:00:00", nil, []director.Window{weekly}, 0, 1}, // a Thursday's night
		{"2031-05-17T03:00:00", nil, []director.Window{weekly}, 0, 0},
		{"2031-05-14T00:30:00", nil, []director.Window{daily}, 0, 9},
		// In spring of 2031 the clocks there go from 2:00 to 3:00, at 1:00 UTC on 30 March: 2:30 is
		// not shown, and has come all the same.
		{"2031-03-30T00:59:00", berlin, []director.Window{early}, 0, 0},
		{"2031-03-30T01:00:00", berlin, []director.Window{early}, 0, 3},
		{"2031-03-30T01:59:00", berlin, []director.Window{early}, 0, 3},
		{"2031-03-30T02:00:00", berlin, []director.Window{early}, 0, 0},
		// In autumn from 3:00 back to 2:00, at 1:00 UTC on 26 October: 2:30 is shown twice, and the
		// window opens once and stays open.
		{"2031-10-26T00:29:00", berlin, []director.Window{early}, 0, 0},
		{"2031-10-26T00:30:00", berlin, []director.Window{early}, 0, 3},
		{"2031-10-26T01:10:00", berlin, []director.Window{early}, 0, 3}, // 2:10 for the second time
		{"2031-10-26T02:59:00", berlin, []director.Window{early}, 0, 3},
		{"2031-10-26T03:00:00", berlin, []director.Window{early}, 0, 0},
	} {
		at, err := time.Parse("2006-01-02T15:04:05", c.at)
		if err != nil {
			t.Fatal(err)
		}
		l := director.Schedule{Windows: c.windows, Zone: c.zone}.Level(at, plan.SourceState{})
		if l.Reserve != c.reserve || l.Spare != c.spare || l.Keep != c.spare {
			t.Errorf("%s in %v: %+v, want reserve %d and spare %d", c.at, c.zone, l, c.reserve, c.spare)
		}
	}
	// What is configured is the least.
	l := director.Schedule{Windows: []director.Window{lunch}}.Level(noon, plan.SourceState{Reserve: 3, Spare: 4})
	if l.Reserve != 7 || l.Spare != 4 || !strings.Contains(l.Reason, "lunch") {
		t.Errorf(`l = %+v; want l.Reserve == 7 and l.Spare == 4 and l.Reason with "lunch"`, l)
	}
}

// TestScheduleYear: over a year of minutes in a place with summer time a window opens and closes
// once a day.
func TestScheduleYear(t *testing.T) {
	c := director.Schedule{Windows: []director.Window{window(t, "w", "30 2 * * *", "15 3 * * *", 0, 1)}, Zone: zone(t, "America/New_York")}
	opened, was := 0, 0
	for at := time.Date(2031, 1, 1, 12, 0, 0, 0, time.UTC); at.Year() == 2031; at = at.Add(5 * time.Minute) {
		now := c.Level(at, plan.SourceState{}).Spare
		if now > was {
			opened++
		}
		was = now
	}
	if opened != 364 {
		t.Errorf("opened %d times, want 364", opened)
	}
}

func TestWindowErrors(t *testing.T) {
	for _, c := range []struct{ begin, end, want string }{
		{"0 9 * *", "0 17 * * *", `its begin: "0 9 * *" is not a cron expression`},
		{"0 9 * * *", "0 25 * * *", "its end: "},
		{"0 9 * * *", "0  9 * * *", "it ends when it begins"},
		{"@every 1h", "0 9 * * *", "its begin: "},
		{"CRON_TZ=UTC 0 9 * * *", "0 10 * * *", "its begin: "},
		{"0 0 30 2 *", "0 10 * * *", "names a day that never comes"},
		{"", "0 10 * * *", "its begin: "},
	} {
		if _, err := director.NewWindow("w", c.begin, c.end); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q .. %q: %v, want %s", c.begin, c.end, err, c.want)
		}
	}
}

// TestDemand has its numbers from a table of the Poisson distribution.
func TestDemand(t *testing.T) {
	const h = time.Hour
	for _, c := range []struct {
		name        string
		d           director.Demand
		state       plan.SourceState
		spare, keep int
	}{
		{"nobody comes", director.Demand{}, plan.SourceState{Demand: plan.Demand{Window: h, Made: time.Minute}}, 0, 0},
		{
			"nobody comes, and some are configured", director.Demand{},
			plan.SourceState{Spare: 2, Demand: plan.Demand{Window: h}}, 2, 2,
		},
		// 60 an hour and a minute: mean 1. P(<=2) = 0.920, P(<=3) = 0.981. Above: (60+15.5)/60 =
		// 1.26; P(<=3) = 0.962.
		{"mean 1", director.Demand{}, plan.SourceState{Demand: plan.Demand{Given: 60, Late: 6, Window: h, Made: time.Minute}}, 4, 4},
		{
			"mean 1, seldom met", director.Demand{HitRate: 0.5},
			plan.SourceState{Demand: plan.Demand{Given: 60, Late: 6, Window: h, Made: time.Minute}}, 2, 2,
		},
		{
			"mean 1, always met", director.Demand{HitRate: 0.999},
			plan.SourceState{Demand: plan.Demand{Given: 60, Late: 6, Window: h, Made: time.Minute}}, 6, 7,
		},
		// mean 5: P(<=8) = 0.932, P(<=9) = 0.968
		{
			"mean 5", director.Demand{},
			plan.SourceState{Demand: plan.Demand{Given: 300, Late: 30, Window: h, Made: time.Minute}}, 10, 11,
		},
		{
			"it grows at once", director.Demand{},
			plan.SourceState{Demand: plan.Demand{Given: 30, Late: 30, Window: h, Made: time.Minute}}, 10, 10,
		},
		{
			"and shrinks slowly", director.Demand{},
			plan.SourceState{Demand: plan.Demand{Given: 300, Late: 0, Window: h, Made: time.Minute}}, 10, 11,
		},
		{
			"used ones come back sooner than new ones", director.Demand{},
			plan.SourceState{Demand: plan.Demand{Given: 300, Late: 30, Window: h, Made: time.Hour, Held: 12 * time.Second}},
			4, 4,
		},
		{
			"later than new ones", director.Demand{},
			plan.SourceState{Demand: plan.Demand{Given: 60, Late: 6, Window: h, Made: time.Minute, Held: time.Hour}},
			4, 4,
		},
		{
			"how long it takes is not known yet", director.Demand{},
			plan.SourceState{Demand: plan.Demand{Given: 60, Late: 6, Window: h}}, 4, 4,
		},
		{
			"in bursts", director.Demand{},
			plan.SourceState{Demand: plan.Demand{Given: 300, Late: 30, Window: h, Made: time.Minute, Spread: 5}},
			16, 17,
		},
		{
			"more is configured", director.Demand{},
			plan.SourceState{Spare: 7, Reserve: 2, Demand: plan.Demand{Given: 60, Late: 6, Window: h, Made: time.Minute}},
			7, 7,
		},
	} {
		l := c.d.Level(noon, c.state)
		if l.Spare != c.spare || l.Keep != c.keep || l.Reserve != c.state.Reserve || l.Reason == "" {
			t.Errorf("%s: %+v, want spare %d and keep %d", c.name, l, c.spare, c.keep)
		}
	}
}

// TestDemandHits: with the spare ones that it asks for, so many of the requests of a Poisson
// process find one ready, by simulation of the theory's own model, an inventory with orders one for
// one.
func TestDemandHits(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ rate, lead, hit float64 }{{60, 60, 0.95}, {600, 30, 0.9}, {10, 300, 0.99}, {3000, 45, 0.95}} {
		given := int(c.rate)
		l := director.Demand{HitRate: c.hit}.Level(noon, plan.SourceState{Demand: plan.Demand{Given: given,
			Late: given / 10, Window: time.Hour,
			Made: time.Duration(c.lead * float64(time.Second))}})
		var due []float64 // when orders arrive
		hits, n, at := 0, 40000, 0.0
		for range n {
			at += dice.ExpFloat64() * 3600 / c.rate
			for len(due) > 0 && due[0] <= at {
				due = due[1:]
			}
			if len(due) < l.Spare {
				hits++
			}
			due = append(due, at+c.lead)
		}
		if got := float64(hits) / float64(n); got < c.hit-0.01 || got > c.hit+(1-c.hit)*0.99+0.001 || math.IsNaN(got) {
			t.Errorf(
				"%v an hour, %v s each: %.4f of them find one ready among %d, and %v was asked for", c.rate, c.lead, got,
				l.Spare, c.hit,
			)
		}
	}
}

func TestLarger(t *testing.T) {
	both := director.Larger{level{Reserve: 1, Spare: 5, Keep: 6, Reason: "a"}, level{Reserve: 3, Spare: 2, Keep: 2, Reason: "b"}}
	if l := both.Level(noon, plan.SourceState{}); l != (director.Level{Reserve: 3, Spare: 5, Keep: 6, Reason: "a, and b"}) {
		t.Errorf(`l = %+v; want l == (director.Level{Reserve: 3, Spare: 5, Keep: 6, Reason: "a, and b"})`, l)
	}
	if l := (director.Larger{
		level{Spare: 1, Keep: 1, Reason: "a"}, level{Spare: 2, Keep: 2, Reason: "b"},
	}).Level(noon, plan.SourceState{}); l.Reason != "b" {
		t.Errorf(`l = %+v; want l.Reason == "b"`, l)
	}
}
