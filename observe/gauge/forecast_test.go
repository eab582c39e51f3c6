package gauge_test

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/hostler-project/hostler/observe/gauge"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// TestForecast asks for one image ten times each morning at eight for two weeks, and for another
// each hour on the last day alone.
func TestForecast(t *testing.T) {
	var f gauge.Forecast
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
	var again gauge.Forecast
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
	var f gauge.Forecast
	f.Add(monday, "io", "u")
	f.Add(monday.Add(-5*time.Hour), "io", "u")
	if got := f.Demand(monday.Add(-5*time.Hour), time.Hour)["io"]["u"]; got != 2 {
		t.Errorf("%v in an hour, of 2", got)
	}
	if got := f.Demand(monday.AddDate(1000, 0, 0), time.Hour); len(got) != 0 {
		t.Errorf("after a thousand years: %v", got)
	}
}
