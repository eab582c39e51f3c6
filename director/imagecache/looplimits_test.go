package imagecache_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/loop"
)

// TestLimitsKept has a process for each round, as cron has: what one has spent of a rate the next
// one does not have, and a dry run spends nothing.
func TestLimitsKept(t *testing.T) {
	onStage(t, 40, func(s *stage) {
		s.opt.CacheRate = loop.Rate{N: 2, Period: 10 * time.Minute}
		s.opt.EjectRate = loop.Rate{N: 1, Period: 20 * time.Minute}
		told := func(verb string) int {
			return len(slices.DeleteFunc(s.m.told(), func(c string) bool { return !strings.HasPrefix(c, verb) }))
		}
		for minute := range 25 {
			dry := s.opt
			dry.DryRun = true
			l, err := imagecache.New(dry)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Round(s.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := s.once(); err != nil {
				t.Fatal(err)
			}
			if want := 2 * (1 + minute/10); told("cache") != want {
				t.Fatalf("after %d minutes %d writings were begun at a rate of 2 in 10 minutes, want %d", minute, told("cache"), want)
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Hour)
		s.m.set(func() {
			s.m.images = []metal.Image{{ID: "u2", Name: "ubuntu"}, {ID: "c2", Name: "cirros"}}
			s.m.write = 100 * time.Hour // so that what is written now is not ejected
		})
		for minute := range 41 {
			if _, err := s.once(); err != nil {
				t.Fatal(err)
			}
			if want := 1 + minute/20; told("eject") != want {
				t.Fatalf("after %d minutes %d were ejected at a rate of 1 in 20 minutes, want %d", minute, told("eject"), want)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestLimitsClock has a period of the future, as the clock was put back: a new one begins now.
func TestLimitsClock(t *testing.T) {
	onStage(t, 8, func(s *stage) {
		s.opt.CacheRate = loop.Rate{N: 1, Period: time.Hour}
		s.note("director.metal:limits", `{"cache":{"start":"2100-01-01T00:00:00Z","count":1}}`)
		r, err := s.once()
		if err != nil || len(s.m.told()) != 1 {
			t.Fatalf("err = %v, r = %+v; want no error and len(s.m.told()) == 1", err, r)
		}
		if _, err := s.once(); err != nil || len(s.m.told()) != 1 {
			t.Errorf("%v: told %v", err, s.m.told())
		}
		s.note("director.metal:limits", `{"cache":`)
		if r, err := s.once(); err == nil || !strings.Contains(err.Error(), "director.metal:limits") || r.Suspended == "" {
			t.Errorf("what is recorded cannot be read: %v", err)
		}
	})
}
