package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/history"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// journal makes events, each with the next id.
type journal struct {
	all []compute.Event
}

func (j *journal) add(at time.Duration, kind, source, instance string, data ...string) {
	e := compute.Event{ID: int64(len(j.all) + 1), Time: noon.Add(at), Kind: kind, Source: source, Instance: compute.ID(instance)}
	for n := 0; n+1 < len(data); n += 2 {
		if e.Data == nil {
			e.Data = map[string]string{}
		}
		e.Data[data[n]] = data[n+1]
	}
	j.all = append(j.all, e)
}

func at(t *testing.T, bins []history.Bin, when time.Duration) history.Bin {
	t.Helper()
	for n := len(bins) - 1; n >= 0; n-- {
		if !bins[n].Start.After(noon.Add(when)) {
			return bins[n]
		}
	}
	t.Fatalf("no bin at %v", when)
	return history.Bin{}
}

// TestLeases: hits, misses and waits are counted in the bins that they belong to, whichever way the
// events come.
func TestLeases(t *testing.T) {
	var j journal
	j.add(-30*time.Minute, "leased", "web", "web-1")
	j.add(-30*time.Minute+time.Second, "leased", "web", "web-2", "waited", "4s")
	j.add(-30*time.Minute+2*time.Second, "leased", "web", "web-3", "waited", "2s")
	j.add(-30*time.Minute+3*time.Second, "leased", "db", "db-1")
	j.add(-10*time.Minute, "failed", "web", "web-4")
	j.add(-5*time.Minute, "made", "web", "web-5")
	for _, pieces := range []int{1, 2, 6} {
		h := &history.History{}
		for n := 0; n < len(j.all); n += len(j.all) / pieces {
			h.Take(j.all[n : n+len(j.all)/pieces])
			h.Take(j.all[:n]) // what was heard before counts once
		}
		if q := h.Query(); q.After != 6 || q.Newest != 0 {
			t.Errorf("it asks next for %+v", q)
		}
		for _, scale := range []history.Scale{history.Hour, history.Day} {
			all := h.Series(noon, scale, nil)
			if len(all) != scale.Bins {
				t.Fatalf("%d bins", len(all))
			}
			b := at(t, all, -30*time.Minute)
			if b.Given != 4 || b.Misses != 2 || b.Waited != 6*time.Second || b.Longest != 4*time.Second {
				t.Errorf("%v, in %d pieces: %+v", scale.Step, pieces, b)
			}
			if b := at(t, h.Series(noon, scale, func(s string) bool { return s == "db" }), -30*time.Minute); b.Given != 1 || b.Misses != 0 {
				t.Errorf("db alone: %+v", b)
			}
			sum := history.Bin{}
			for _, b := range all {
				sum.Given, sum.Made, sum.Failed = sum.Given+b.Given, sum.Made+b.Made, sum.Failed+b.Failed
			}
			if sum.Given != 4 || sum.Made != 1 || sum.Failed != 1 {
				t.Errorf("together: %+v", sum)
			}
		}
		if b := at(t, h.Series(noon.Add(3*time.Hour), history.Hour, nil), 3*time.Hour-30*time.Minute); b.Given != 0 {
			t.Errorf("three hours later the hour still has %+v", b)
		}
	}
}

// TestCounts: what there was before the first sample is found from the journal, and what there is
// afterwards from the samples; what nobody saw is not known.
func TestCounts(t *testing.T) {
	var j journal
	j.add(-40*time.Minute, "creating", "web", "web-2") // web-1 was there before
	j.add(-40*time.Minute, "leased", "web", "web-2", "waited", "1s")
	j.add(-20*time.Minute, "released", "web", "web-1") // and in use
	j.add(-20*time.Minute, "cleaning", "web", "web-1")
	j.add(-10*time.Minute, "gone", "web", "web-1")
	h := &history.History{}
	h.Take(j.all)
	h.Sample(noon, []history.Count{{Source: "web", Present: 1, InUse: 1, Price: 6}})
	mean := func(b history.Bin) string {
		if b.Known == 0 {
			return "unknown"
		}
		return fmt.Sprintf(
			"%.3g there, %.3g in use, %.3g an hour", b.Present.Seconds()/b.Known.Seconds(),
			b.InUse.Seconds()/b.Known.Seconds(), b.Cost/b.Known.Hours(),
		)
	}
	check := func(now, when time.Duration, want string) {
		t.Helper()
		if got := mean(at(t, h.Series(noon.Add(now), history.Hour, nil), when)); got != want {
			t.Errorf("at %v: %s, not %s", when, got, want)
		}
	}
	check(0, -45*time.Minute, "unknown")
	check(0, -35*time.Minute, "2 there, 2 in use, 12 an hour")
	check(0, -15*time.Minute, "2 there, 1 in use, 12 an hour")
	check(0, -5*time.Minute, "1 there, 1 in use, 6 an hour")
	for n := range 20 {
		h.Sample(noon.Add(time.Duration(n)*15*time.Second), []history.Count{{Source: "web", Present: 3, InUse: 0, Price: 6}})
	}
	check(5*time.Minute, 3*time.Minute, "3 there, 0 in use, 18 an hour")
	h.Sample(noon.Add(20*time.Minute), []history.Count{{Source: "web", Present: 3}})
	check(20*time.Minute, 10*time.Minute, "unknown")
	if h.Priced(nil) {
		t.Error("a price that was taken away is known still")
	}
}

// TestManySources: what is kept is bounded, in sources and in directives.
func TestManySources(t *testing.T) {
	h := &history.History{}
	var j journal
	for n := range 1500 {
		j.add(-time.Minute, "leased", fmt.Sprint("s", n), fmt.Sprint("s", n, "-1"))
		j.add(-time.Minute, "directive", fmt.Sprint("s", n), "")
	}
	h.Take(j.all)
	if b := at(t, h.Series(noon, history.Hour, nil), -time.Minute); b.Given != 1000 {
		t.Errorf("%d sources are followed", b.Given)
	}
	all := h.Directives(10000, nil)
	if len(all) != 500 || all[0].Source != "s1499" || all[499].Source != "s1000" {
		t.Errorf("%d directives, from %s to %s", len(all), all[0].Source, all[len(all)-1].Source)
	}
	if some := h.Directives(2, func(s string) bool { return s < "s12" }); len(some) != 2 || some[0].Source != "s1199" {
		t.Errorf("of some sources: %+v", some)
	}
}

// TestClockSetBack: what was noted by a clock that went wrong and was set right takes no place of
// what comes then.
func TestClockSetBack(t *testing.T) {
	for name, before := range map[string]bool{"while it runs": false, "before it began": true} {
		t.Run(name, func(t *testing.T) {
			var j journal
			h := &history.History{}
			if !before {
				h.Sample(noon, []history.Count{{Source: "web", Present: 1}})
				h.Sample(noon.Add(24*time.Hour), []history.Count{{Source: "web", Present: 1}})
			}
			j.add(24*time.Hour, "leased", "web", "web-1")
			h.Take(j.all)
			h.Sample(noon, []history.Count{{Source: "web", Present: 1}})
			j.add(time.Second, "leased", "web", "web-2")
			h.Take(j.all)
			h.Sample(noon.Add(15*time.Second), []history.Count{{Source: "web", Present: 1}})
			if b := at(t, h.Series(noon, history.Hour, nil), 0); b.Given != 1 || b.Present != 15*time.Second && b.Present != time.Minute {
				t.Errorf("b = %+v; want b.Given == 1 and (b.Present == 15*time.Second or b.Present == time.Minute)", b)
			}
		})
	}
}
