package gauge_test

import (
	"testing"
	"time"

	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/observe/gauge"
)

func TestGauge(t *testing.T) {
	start := time.Date(2031, 5, 14, 12, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	g := gauge.New(time.Hour)
	if d := g.Demand(start); d != (plan.Demand{Window: time.Hour}) {
		t.Errorf("at first %+v", d)
	}
	for n := range 60 {
		g.Given(minute(n))
		g.Given(minute(n).Add(30 * time.Second))
	}
	if d := g.Demand(minute(59)); d.Given != 120 || d.Late != 12 || d.Spread != 0 {
		t.Errorf("two a minute: %+v", d)
	}
	if d := g.Demand(minute(89)); d.Given != 60 || d.Late != 0 {
		t.Errorf("half an hour later: %+v", d)
	}
	if d := g.Demand(minute(10000)); d.Given != 0 {
		t.Errorf("a week later: %+v", d)
	}
	for range 30 {
		g.Given(minute(10001)) // a burst
	}
	g.Given(minute(9000)) // long ago, and heard of late
	if d := g.Demand(minute(10002)); d.Given != 30 || d.Late != 30 || d.Spread < 29 || d.Spread > 30 {
		t.Errorf("a burst: %+v", d)
	}
	for n := range 250 {
		g.Held(time.Duration(n) * time.Second)
		g.Made(time.Minute)
	}
	if d := g.Demand(minute(10002)); d.Made != time.Minute || d.Held != 199500*time.Millisecond {
		t.Errorf("the mean of the last hundred: %+v", d)
	}
}

// TestBeforeTheEpoch: a trace may count its seconds from nought, and a director looks a little
// before its first.
func TestBeforeTheEpoch(t *testing.T) {
	g := gauge.New(time.Hour)
	for n := -90; n < 90; n++ {
		g.Given(time.Unix(int64(n)*60, 0))
	}
	if d := g.Demand(time.Unix(89*60, 0)); d.Given < 59 || d.Given > 61 || d.Late < 6 || d.Late > 7 {
		t.Errorf("d = %+v; want d.Given >= 59 and d.Given <= 61 and d.Late >= 6 and d.Late <= 7", d)
	}
}

// TestClockSetBack: what was counted by a clock that went wrong and was set right does not hide
// what comes then.
func TestClockSetBack(t *testing.T) {
	start := time.Date(2031, 5, 14, 12, 0, 0, 0, time.UTC)
	g := gauge.New(time.Hour)
	g.Given(start.Add(24 * time.Hour))
	if d := g.Demand(start.Add(24 * time.Hour)); d.Given != 1 {
		t.Errorf("by the wrong clock: %+v", d)
	}
	if d := g.Demand(start); d.Given != 0 {
		t.Errorf("set right: %+v", d)
	}
	for n := range 20 {
		g.Given(start.Add(time.Duration(n) * time.Minute))
	}
	if d := g.Demand(start.Add(20 * time.Minute)); d.Given != 20 {
		t.Errorf("what came then: %+v", d)
	}
	// By less than a window it only goes on a little later.
	if d := g.Demand(start.Add(10 * time.Minute)); d.Given != 20 {
		t.Errorf("set back by ten minutes: %+v", d)
	}
}
