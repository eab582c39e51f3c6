package imagecache_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/director/loop"
)

// explained asks of one node.
func (s *stage) explained(name string) imagecache.Explanation {
	s.Helper()
	l, err := imagecache.New(s.opt)
	if err != nil {
		s.Fatal(err)
	}
	all, err := l.Explain(s.Context(), name)
	if err != nil {
		s.Fatal(err)
	}
	return all[0]
}

// TestExplainConflicts asks of nodes that are held back, limited, left alone, somebody's, called as
// others are, or not there; and while nothing is done at all.
func TestExplainConflicts(t *testing.T) {
	onStage(t, 12, func(s *stage) {
		s.m.change("n00", func(n *machine) { n.Name = "n01" }) // an id goes before a name
		s.m.change("n02", func(n *machine) { n.Name = "rack-7" })
		if e := s.explained("n01"); e.Node != "n01" {
			t.Errorf("n01 is taken for %s", e.Node)
		}
		if e := s.explained("rack-7"); e.Node != "n02" || e.Name != "rack-7" {
			t.Errorf("rack-7 is taken for %s", e.Node)
		}
		l, err := imagecache.New(s.opt)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Explain(s.Context(), "nobody"); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("a node that is not there: %v", err)
		}

		s.opt.Strategy = &strategy.Proportional{Share: 1, Seed: func() uint64 { return 1 }}
		s.opt.CacheRate = loop.Rate{N: 1, Period: time.Hour}
		if e := s.explained("n00"); e.Directive == nil || e.Directive.Do != imagecache.Cache {
			t.Fatalf("of a free node: %+v", e)
		}
		limited := 0
		for _, n := range s.m.nodes {
			switch e := s.explained(n.ID); {
			case e.Directive.Result == imagecache.Limited && strings.Contains(e.Directive.Error, "the rate of writing images is reached"):
				limited++
			case e.Directive.Result != imagecache.Would:
				t.Errorf("%s: e.Directive = %+v", n.ID, e.Directive)
			}
		}
		if limited != 11 {
			t.Errorf("%d of 12 are said to be limited, at a rate of one: asking is not to spend it", limited)
		}
		s.opt.CacheRate = loop.Rate{}
		s.run(time.Hour)
		s.m.set(func() { s.m.images = []metal.Image{{ID: "u2", Name: "ubuntu"}, {ID: "c2", Name: "cirros"}} })
		s.m.change("n03", func(n *machine) { n.Provisioned, n.Used = true, true })
		s.plant(&imagecache.NodeRecord{
			Node: "n04", State: "quarantined", Do: imagecache.Cache, Failures: 3, Error: "its disk is full",
			Begun: time.Now(),
		})
		s.plant(&imagecache.NodeRecord{
			Node: "n05", State: "failed", Do: imagecache.Cache, Image: "x", Failures: 1, Error: "no route",
			Begun: time.Now(), Until: time.Now().Add(time.Minute),
		})
		if e := s.explained("n06"); e.Directive == nil || e.Directive.Result != imagecache.Held ||
			!strings.Contains(e.Directive.Error, "at once") || !strings.Contains(e.Decided, "not among the current ones") &&
			!strings.Contains(e.Decided, "eject") {
			t.Errorf("of a node that is held back: %+v, %+v", e, e.Directive)
		}
		if e := s.explained("n03"); e.Directive != nil || !strings.HasPrefix(e.Seen, "somebody has it") {
			t.Errorf("of a node that somebody has: %+v", e)
		}
		if e := s.explained("n04"); e.Directive != nil ||
			!strings.Contains(
				e.Remembered, "in quarantine after 3 failures: its disk is full",
			) || !strings.Contains(e.Decided, "quarantine") {
			t.Errorf("of a node in quarantine: %+v", e)
		}
		if e := s.explained("n05"); e.Directive != nil ||
			!strings.Contains(e.Remembered, "left alone for 1m0s after 1 failures: no route") {
			t.Errorf("of a node that is left alone: %+v", e)
		}
		s.m.set(func() { s.m.images = nil })
		if e := s.explained("n06"); !strings.Contains(e.Suspended, "there are no images") {
			t.Errorf("while nothing is done: %+v", e)
		}
		if told := len(s.m.told()); told != 12 {
			t.Errorf("asking had %d commands given", told-12)
		}
	})
}

// TestGuardDirectives refuses what a strategy asks of a node that is under way, and of two
// directives for one.
func TestGuardDirectives(t *testing.T) {
	onStage(t, 4, func(s *stage) {
		s.m.change("n01", func(n *machine) { n.Cached, n.Image = true, "gone" })
		s.m.change("n02", func(n *machine) { n.Cached, n.Image, n.Writing = true, "gone", true })
		s.plant(&imagecache.NodeRecord{
			Node: "n03", State: "under-way", Do: imagecache.Eject, Image: "u1", Begun: time.Now(), Answered: time.Now(),
		})
		s.m.change("n03", func(n *machine) { n.Provisioned, n.Cached, n.Image = true, true, "u1" })
		s.opt.Strategy = liar{
			Eject: []string{"n01", "n01", "n02"},
			Cache: map[string][]metal.Write{gib: {{Node: "n00", Image: "u1"}, {Node: "n00", Image: "c1"}, {Node: "n03", Image: "u1"}}},
		}
		s.opt.MaxEjectFraction = 1
		r, err := s.once()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, d := range r.Directives {
			got[d.Node+" "+string(d.Do)+" "+d.Image] += d.Result + " "
		}
		for what, want := range map[string]string{
			"n01 eject gone": "issued refused ", "n02 eject gone": "limited ", "n00 cache u1": "issued ",
			"n00 cache c1": "refused ", "n03 cache u1": "refused ",
		} {
			if got[what] != want {
				t.Errorf("%s: %q, want %q", what, got[what], want)
			}
		}
		if n := len(s.m.told()); n != 2 {
			t.Errorf("told %v", s.m.told())
		}
	})
}

// TestClockBackAnswered puts the clock back under directives that were answered, that failed, and
// that wait for leave: none is given up early, and none is waited for longer than from now.
func TestClockBackAnswered(t *testing.T) {
	onStage(t, 4, func(s *stage) {
		ahead := time.Now().Add(1000 * time.Hour)
		s.plant(&imagecache.NodeRecord{Node: "n00", State: "under-way", Do: imagecache.Cache, Image: "u1", Begun: ahead, Answered: ahead})
		s.plant(&imagecache.NodeRecord{
			Node: "n01", State: "failed", Do: imagecache.Cache, Failures: 2, Error: "no route", Begun: ahead, Until: ahead,
		})
		s.opt.Strategy = liar{}
		if _, err := s.once(); err != nil {
			t.Fatal(err)
		}
		all := s.flights()
		if f := all["n00"]; f == nil || !f.UnderWay() || f.Begun.After(time.Now()) || f.Answered.After(time.Now()) {
			t.Errorf("what is under way: %+v", f)
		}
		if f := all["n01"]; f == nil || time.Until(f.Until) != 2*time.Minute {
			t.Errorf("what has failed twice: %+v", f)
		}
		time.Sleep(59 * time.Minute)
		if _, err := s.once(); err != nil || !s.flights()["n00"].UnderWay() {
			t.Errorf("within the deadline: %v, %+v", err, s.flights()["n00"])
		}
		time.Sleep(time.Minute)
		if _, err := s.once(); err != nil || s.flights()["n00"].UnderWay() || s.flights()["n00"].Failures != 1 {
			t.Errorf("after the deadline: %v, %+v", err, s.flights()["n00"])
		}
	})
}
