package director_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/director/plan"
)

// poisson is a trace with so many arrivals an hour, and leases of that mean.
func poisson(seed uint64, hours, perHour float64, lasts time.Duration) (out []director.Arrival) {
	dice := rand.New(rand.NewPCG(seed, 0))
	for at := dice.ExpFloat64() / perHour; at < hours; at += dice.ExpFloat64() / perHour {
		out = append(out, director.Arrival{Time: noon.Add(time.Duration(at * float64(time.Hour))), Source: "web",
			Lasts: time.Duration(dice.ExpFloat64() * float64(lasts))})
	}
	return out
}

func TestReplayByHand(t *testing.T) {
	at := func(m int) time.Time { return noon.Add(time.Duration(m) * time.Minute) }
	trace := []director.Arrival{{at(0), "web", 10 * time.Minute}, {at(1), "web", 10 * time.Minute}, {at(30), "web", time.Minute}}
	model := director.Model{Create: 2 * time.Minute}
	for _, c := range []struct {
		name    string
		source  plan.SourceState
		model   director.Model
		waits   []time.Duration
		hits    int
		cold    int
		made    int
		checked func(o director.Outcome) bool
	}{
		{
			"nothing ahead of need", plan.SourceState{}, model,
			[]time.Duration{2 * time.Minute, 2 * time.Minute, 2 * time.Minute}, 0, 0, 3, nil,
		},
		{
			"one of each is enough", plan.SourceState{Reserve: 2}, model, []time.Duration{0, 0, 0}, 3, 0, 2,
			func(o director.Outcome) bool { return o.Peak == 2 && o.Used == 21*time.Minute },
		},
		{"a maximum of one", plan.SourceState{Reserve: 1, Maximum: 1}, model, []time.Duration{0, 0, 9 * time.Minute}, 2, 0, 1, nil},
		{"idle keeps", plan.SourceState{Idle: time.Hour}, model, []time.Duration{0, 2 * time.Minute, 2 * time.Minute}, 1, 0, 2, nil},
		{"cold ones are started", plan.SourceState{ColdMost: 1}, director.Model{Create: 2 * time.Minute, Start: 10 * time.Second},
			[]time.Duration{10 * time.Second, 2 * time.Minute, 2 * time.Minute}, 0, 1, 2,
			func(o director.Outcome) bool { return o.Stopped > 10*time.Minute }},
		{
			"of one use", plan.SourceState{Reserve: 2}, director.Model{Create: 2 * time.Minute, OneUse: true},
			[]time.Duration{0, 0, 0}, 3, 0, 5, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.source.Name = "web"
			o := director.Replay(director.Setup{Source: c.source, Model: c.model}, trace)
			if d := cmp.Diff(c.waits, o.Waits); d != "" || o.Hits != c.hits || o.Cold != c.cold || o.Made != c.made || o.Requests != 3 {
				t.Errorf("%s hits %d, cold %d, made %d, of %d\n%s", c.name, o.Hits, o.Cold, o.Made, o.Requests, d)
			}
			if c.checked != nil && !c.checked(o) {
				t.Errorf("o = %+v; want c.checked == nil or c.checked(o)", o)
			}
		})
	}
}

// TestReplaySums: whatever the trace and the setting, each request is served once, nothing is above
// the maximum, the sums of the plot are the sums of the outcome, and the same arguments give the
// same outcome.
func TestReplaySums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string, least, most int) int { return rapid.IntRange(least, most).Draw(t, name) }
		trace := poisson(
			uint64(number("seed", 0, 1<<30)), 3, float64(number("rate", 1, 60)),
			time.Duration(number("lasts", 1, 40))*time.Minute,
		)
		setup := director.Setup{
			Source: plan.SourceState{Name: "web", Reserve: number("reserve", 0, 5), Spare: number("spare", 0, 4),
				Maximum:  number("maximum", 0, 12),
				ColdMost: number("cold", 0, 3), Idle: time.Duration(number("idle", 0, 20)) * time.Minute},
			Model: director.Model{Create: time.Duration(number("create", 0, 300)) * time.Second, Jitter: 0.5,
				Clean: time.Duration(number("clean", 0, 60)) * time.Second,
				Start: 5 * time.Second, Stop: time.Second, OneUse: rapid.Bool().Draw(t, "one use"), Seed: 3},
		}
		if rapid.Bool().Draw(t, "demand") {
			setup.Policy.Strategy = director.Demand{}
		}
		o := director.Replay(setup, trace)
		if len(o.Waits) != len(trace) || o.Requests != len(trace) {
			t.Fatalf("%d of %d requests were served", len(o.Waits), len(trace))
		}
		if m := setup.Source.Maximum; m > 0 && o.Peak > m {
			t.Fatalf("%d were there, and the maximum is %d", o.Peak, m)
		}
		var used, lasted, idle float64
		for n, s := range o.Series {
			width := o.End.Sub(s.Time)
			if n+1 < len(o.Series) {
				width = o.Series[n+1].Time.Sub(s.Time)
			}
			used += s.Used * width.Seconds()
			idle += s.Idle * width.Seconds()
		}
		for _, a := range trace {
			lasted += a.Lasts.Seconds()
		}
		near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(1, math.Max(a, b)) }
		if !near(used, o.Used.Seconds()) || !near(lasted, o.Used.Seconds()) || !near(idle, o.Idle.Seconds()) {
			t.Fatalf(
				"in use for %v s, by the plot %v, by the trace %v; idle for %v, by the plot %v", o.Used.Seconds(), used,
				lasted, o.Idle.Seconds(), idle,
			)
		}
		if again := director.Replay(setup, trace); !reflect.DeepEqual(again, o) {
			t.Fatal("the second time it is another outcome")
		}
	})
}

// TestDemandInReplay: under a steady load strategy demand meets the share that is asked for where
// nothing is used again, is cheaper than a stock for the worst hour when the load comes and goes,
// and does not flap.
func TestDemandInReplay(t *testing.T) {
	demand := director.Policy{Strategy: director.Demand{HitRate: 0.95}}
	source := plan.SourceState{Name: "web", Idle: 10 * time.Minute}
	for seed := range uint64(2) {
		steady := director.Replay(
			director.Setup{Source: source, Policy: demand, Model: director.Model{Create: time.Minute, OneUse: true}},
			poisson(seed, 24, 60, 5*time.Minute),
		)
		if r := steady.HitRate(); r < 0.93 {
			t.Errorf("%.3f found one ready", r)
		}
		if steady.Made > steady.Requests*11/10+20 {
			t.Errorf("%d were made for %d requests", steady.Made, steady.Requests)
		}
		again := director.Replay(
			director.Setup{Source: source, Policy: demand, Model: director.Model{Create: time.Minute, Clean: 5 * time.Second}},
			poisson(seed, 24, 60, 5*time.Minute),
		)
		if r := again.HitRate(); r < 0.97 || again.Made > again.Requests/6 {
			t.Errorf("used again: %.3f found one ready, and %d were made for %d", r, again.Made, again.Requests)
		}
		var days []director.Arrival // four busy hours a day
		for day := range 3 {
			for _, a := range poisson(seed*10+uint64(day), 4, 120, 3*time.Minute) {
				a.Time = a.Time.Add(time.Duration(day) * 24 * time.Hour)
				days = append(days, a)
			}
		}
		follows := director.Replay(
			director.Setup{Source: source, Policy: demand, Model: director.Model{Create: time.Minute, Clean: 5 * time.Second}},
			days,
		)
		stock := source
		stock.Spare = 8
		stands := director.Replay(director.Setup{Source: stock, Model: director.Model{Create: time.Minute, Clean: 5 * time.Second}}, days)
		if follows.Idle > stands.Idle/2 || follows.HitRate() < 0.95 {
			t.Errorf("idle %v with %.3f ready, against %v with %.3f", follows.Idle, follows.HitRate(), stands.Idle, stands.HitRate())
		}
	}
}

// TestNoOscillation: on a constant load the stock is made once and stays.
func TestNoOscillation(t *testing.T) {
	var trace []director.Arrival
	for n := range 10 * 60 {
		trace = append(trace, director.Arrival{Time: noon.Add(time.Duration(n) * time.Minute), Source: "web", Lasts: 150 * time.Second})
	}
	for _, strategy := range []director.Strategy{director.Reserve{}, director.Demand{}} {
		o := director.Replay(director.Setup{Source: plan.SourceState{Name: "web", Spare: 1, Idle: 10 * time.Minute},
			Policy: director.Policy{Strategy: strategy},
			Model:  director.Model{Create: 100 * time.Second, Clean: time.Second}}, trace)
		if o.Made > 10 || o.Discarded > 1 || o.HitRate() < 0.99 {
			t.Errorf("%T: %d made, %d discarded, %.3f ready", strategy, o.Made, o.Discarded, o.HitRate())
		}
	}
}

func TestReadTrace(t *testing.T) {
	want := []director.Arrival{{noon, "web", 90 * time.Second}, {noon.Add(time.Minute), "db", 2 * time.Second}}
	for name, text := range map[string]string{
		"table":             "2031-05-14T12:00:00Z,web,90s\n2031-05-14T12:01:00Z,db,2\n",
		"with a head":       "# mine\nsource, duration, time\nweb, 1m30s, 2031-05-14T12:00:00Z\ndb, 2, 2031-05-14T14:01:00+02:00\n",
		"seconds":           "1936526400,web,90\n1936526460.0,db,2\n",
		"lines":             `{"time":"2031-05-14T12:00:00Z","source":"web","duration":"90s"}` + "\n\n" + `{"time":1936526460,"source":"db","duration":2,"more":1}`,
		"a journal":         `{"id":1,"time":"2031-05-14T12:00:00Z","kind":"leased","source":"web","lease":"a"}` + "\n" + `{"time":"2031-05-14T12:01:00Z","kind":"leased","source":"db","lease":"b"}` + "\n" + `{"time":"2031-05-14T12:01:02Z","kind":"released","source":"db","lease":"b"}` + "\n" + `{"time":"2031-05-14T12:01:30Z","kind":"ready","source":"web"}` + "\n",
		"of a spreadsheet":  "\ufefftime,source,duration\n2031-05-14T12:00:00Z,web,90s\n2031-05-14T12:01:00Z,db,2s\n",
		"after white space": "\n  2031-05-14T12:00:00Z,web,90s\n2031-05-14T12:01:00Z,db,2s",
	} {
		got, err := director.ReadTrace(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: err = %v; want no error", name, err)
			continue
		}
		for n := range got {
			got[n].Time = got[n].Time.UTC()
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf(`%s: d = %s; want d == ""`, name, d)
		}
	}
	for text, want := range map[string]string{
		"":                                      "the trace is empty",
		"time,source,duration\n":                "no requests",
		"time,source\n1,web":                    "line 1: there is no column duration",
		"1,web,2\nnever,web,2\n":                `line 2: "never" is no time`,
		"1,web,2\n2,web,-2s\n":                  `line 2: "-2s" is no duration`,
		"1,web\n":                               `"" is no duration`,
		"1,,2\n":                                "it names no source",
		"{\"time\":1}":                          "line 1: it names no source",
		"{\"time\":1,\n":                        "line 1: ",
		`{"time":"x","source":"web"}`:           `"x" is no time`,
		"0,web,2\n2031-05-14T12:00:00Z,web,2\n": "it begins at 1970-01-01T00:00:00Z and ends at 2031-05-14T12:00:00Z",
		"0001-01-01T00:00:00Z,web,2\n9999-01-01T00:00:00Z,web,2": "it begins at 0001-01-01T00:00:00Z",
		"1,web,2\n2,db,999999999\n":                              "the request of db at 1970-01-01T00:00:02Z lasts for more than a year",
	} {
		if _, err := director.ReadTrace(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzReadTrace(f *testing.F) {
	f.Add("1,web,2\n")
	f.Add("time,source,duration\n1,web,2\n")
	f.Add(`{"time":1,"kind":"leased","source":"web","lease":"a"}`)
	f.Fuzz(func(t *testing.T, text string) {
		as, err := director.ReadTrace(strings.NewReader(text))
		if err == nil && len(as) == 0 {
			t.Error("neither arrivals nor an error")
		}
	})
}
