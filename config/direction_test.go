package config_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/config"
)

func TestDirection(t *testing.T) {
	w := newWorld(t)
	w.file("~/.config/hostler/sources/s/source.conf", `type = fake
strategy = demand
hit_rate = 99%
window = 30m
cold = 2
price = 0.25
budget = 10
dry-run = yes
[schedule]
time-zone = UTC
work = 0 9 * * 1-5 .. 0 17 * * 1-5: spare 5, reserve 2   # when people are there
night: 0 22 * * * .. 0 6 * * *: spare 1
`)
	s := w.source("s")
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	want := []config.Window{{"work", "0 9 * * 1-5", "0 17 * * 1-5", 2, 5}, {"night", "0 22 * * *", "0 6 * * *", 0, 1}}
	if !slices.Equal(s.Schedule, want) || s.TimeZone != time.UTC || s.Strategy != "demand" || s.HitRate != 0.99 ||
		*s.Window != 30*time.Minute ||
		s.Cold != 2 || s.Price != 0.25 || s.Budget != 10 || !s.DryRun || *s.Idle != 10*time.Minute {
		t.Errorf("s.Direction = %+v", s.Direction)
	}
	if v := s.Values["schedule.work"]; v.Line != 11 || v.Key != "work" {
		t.Errorf("work stands at %+v", v)
	}
	for text, want := range map[string]string{
		"type = fake":                    "reserve",
		"type = fake\nstrategy = demand": "demand",
		"type = fake\n[schedule]\na = @daily .. 0 6 * * *: spare 1": "schedule",
	} {
		w := newWorld(t)
		w.file("~/.config/hostler/sources/s/source.conf", text)
		if s := w.source("s"); s.Err != nil || s.Strategy != want || (s.Idle != nil) != (want == "demand") {
			t.Errorf(
				"%q: s.Direction = %+v s.Err = %v"+
					`; want no error and s.Strategy == want and (s.Idle != nil) == (want == "demand")`,
				text, s.Direction, s.Err,
			)
		}
	}
	// What a source wants is not how its computers are made.
	w = newWorld(t)
	w.file("~/.config/hostler/sources/a/source.conf", "type = fake")
	w.file(
		"~/.config/hostler/sources/b/source.conf",
		"type = fake\nstrategy = demand\ncold = 1\n[schedule]\nx = @daily .. 0 6 * * *: spare 1",
	)
	if w.source("a").Digest != w.source("b").Digest {
		t.Error("the digest covers the strategy")
	}
}

func TestBrokenDirection(t *testing.T) {
	for _, c := range []struct{ text, line, want string }{
		{"type = fake\nstrategy = guess", ":2: ", `strategy: "guess" is none of reserve, schedule, demand`},
		{"type = fake\nstrategi = demand", ":2: ", "did you mean strategy?"},
		{"type = fake\nstrategy = schedule", ":2: ", "schedule needs windows in a section [schedule]"},
		{"type = fake\nstrategy = reserve\n[schedule]\na = @daily .. 0 6 * * *: spare 1", ":2: ", "leaves the section [schedule] unused"},
		{"type = fake\nhit-rate = 0.9", ":2: ", "is of strategy = demand alone, and this one is reserve"},
		{"type = fake\nwindow = 1h", ":2: ", "is of strategy = demand alone"},
		{"type = fake\nstrategy = demand\nhit-rate = 1", ":3: ", `"1" is not a share between 0 and 1`},
		{"type = fake\nstrategy = demand\nhit-rate = often", ":3: ", "is not a share"},
		{"type = fake\nstrategy = demand\nwindow = none", ":3: ", "window: is a time that ends"},
		{"type = fake\nbudget = 3", ":2: ", "budget: needs a price"},
		{"type = fake\nprice = cheap", ":2: ", `price: "cheap" is not a price`},
		{"type = fake\nprice = -1", ":2: ", "is not a price"},
		{"type = fake\ncold = -1", ":2: ", "cold: -1 is negative"},
		{"type = pool\nsources = local\ncold = 1", ":3: ", "cold: a pool stops nothing"},
		{"type = fake\ndry-run = maybe", ":2: ", "dry-run: "},
		{"type = fake\n[schedule]\ntime-zone = Mars/Olympus", ":3: ", `time-zone: "Mars/Olympus" is no time zone`},
		{"type = fake\n[schedule]\nwork = always", ":3: ", "work: \"always\": a window is written BEGIN .. END: spare N"},
		{"type = fake\n[schedule]\nwork = @daily .. 0 6 * * *", ":3: ", "a window is written"},
		{"type = fake\n[schedule]\nwork = @daily .. 0 6 * * *: spare", ":3: ", "a window is written"},
		{"type = fake\n[schedule]\nwork = @daily .. 0 6 * * *: spare many", ":3: ", `"many" is not a whole number from 0`},
		{"type = fake\n[schedule]\nwork = @daily .. 0 6 * * *: cold 3", ":3: ", `"cold" is neither spare nor reserve`},
		{"type = fake\n[schedule]\nwork = @daily .. 9: spare 3", ":3: ", "work: no such time: 9"},
		{"type = fake\n[schedule]\na = @daily .. 0 6 * * *: spare 3\na = @daily .. 0 7 * * *: spare 3", ":4: ", "given a second time"},
	} {
		w := newWorld(t)
		file := w.file("~/.config/hostler/sources/s/source.conf", c.text)
		w.opt.CheckWindow = func(_, end string) error {
			if len(end) < 2 {
				return errors.New("no such time: " + end)
			}
			return nil
		}
		s := w.source("s")
		if s.Err == nil || !strings.HasPrefix(s.Err.Error(), file+c.line) || !strings.Contains(s.Err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, s.Err, c.want)
		}
	}
}
