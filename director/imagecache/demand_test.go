package imagecache_test

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// TestForecast asks for one image ten times each morning at eight for two weeks, and for another
// each hour on the last day alone.
func TestForecast(t *testing.T) {
	var f imagecache.Forecast
	for hour := range 14 * 24 {
		at := monday.Add(time.Duration(hour) * time.Hour)
		if hour%24 == 8 {
			for i := range 10 {
				f.Add(at.Add(time.Duration(i)*time.Minute), "io", "morning")
			}
		}
		if hour >= 13*24 {
			f.Add(at, "io", "new")
		}
	}
	rate := func(at time.Time, image string) float64 { return f.Demand(at, 10*time.Minute)["io"][image] }
	day := monday.Add(14 * 24 * time.Hour)
	if early := rate(day.Add(3*time.Hour), "morning"); early > 0.5 {
		t.Errorf("at three in the night %v an hour are expected", early)
	}
	if before := rate(day.Add(7*time.Hour+55*time.Minute), "morning"); math.Abs(before-10) > 0.1 {
		t.Errorf("just before eight %v an hour are expected", before)
	}
	var again imagecache.Forecast
	data, err := json.Marshal(f)
	if err == nil {
		err = json.Unmarshal(data, &again)
	}
	if err != nil || !reflect.DeepEqual(f, again) {
		t.Errorf("kept as JSON it is another: %v\n%s", err, data)
	}
	// The image that nobody wants any more is forgotten, slowly, and then for good.
	last := math.Inf(1)
	for d := range 40 {
		at := day.Add(time.Duration(d)*24*time.Hour + 8*time.Hour)
		now := rate(at, "new")
		if now > last+1e-9 {
			t.Errorf("day %d: %v an hour are expected, after %v", d, now, last)
		}
		last = now
	}
	if len(f.Demand(day.Add(60*24*time.Hour), 0)) != 0 || len(f.Asked) != 0 {
		t.Errorf("not all is forgotten: %+v", f.Asked)
	}
}

// TestForecastClock puts the clock back, and far ahead.
func TestForecastClock(t *testing.T) {
	var f imagecache.Forecast
	f.Add(monday, "io", "u")
	f.Add(monday.Add(-5*time.Hour), "io", "u")
	if got := f.Demand(monday.Add(-5*time.Hour), time.Hour)["io"]["u"]; got != 2 {
		t.Errorf("%v in an hour, of 2", got)
	}
	if got := f.Demand(monday.AddDate(1000, 0, 0), time.Hour); len(got) != 0 {
		t.Errorf("after a thousand years: %v", got)
	}
}

// TestByDemand caches what is asked for, and nothing else.
func TestByDemand(t *testing.T) {
	f := &metal.Fleet{Flavors: []string{"io", "mem"}, Demand: map[string]map[string]float64{"io": {"often": 6, "seldom": 0.6, "gone": 100}}}
	for _, name := range []string{"often", "seldom", "never", "least"} {
		f.Images = append(
			f.Images, metal.Image{ID: name + "-1", Name: name, Created: monday},
			metal.Image{ID: name + "-2", Name: name, Created: monday.Add(time.Hour)},
		)
	}
	for i := range 40 {
		f.Nodes = append(f.Nodes, metal.Node{ID: string(rune('A' + i)), Flavor: f.Flavors[i%2]})
	}
	p := strategy.Proportional{
		Share: 1, Goal: strategy.ByDemand, Lead: 10 * time.Minute,
		Least: strategy.Bounds{{Flavor: "mem", Image: "least", Nodes: 2}}, Weights: strategy.Weights{Default: 1},
	}
	plan := p.Decide(f).Plan
	check(t, f, plan)
	// In ten minutes one request comes in the mean, so 4 are to be ready for 95 of 100; of the
	// other 0.1 come, and 2 are. What is likelier to be asked for comes first.
	want := map[string][]string{
		"io":  {"often-2", "often-2", "seldom-2", "often-2", "often-2", "seldom-2"},
		"mem": {"least-1", "least-2", "least-1", "least-2"},
	}
	if got := chosen(plan); !reflect.DeepEqual(got, want) {
		t.Errorf("got = %v; want got == want", got)
	}
	// The share is the most.
	p.Share, p.Least = 0.1, nil
	if got := chosen(p.Decide(f).Plan); !reflect.DeepEqual(got, map[string][]string{"io": {"often-2", "often-2"}}) {
		t.Errorf("with little room: %v", got)
	}
}
