package imagecache_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/director/loop"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// stage is a fleet, a store and a loop, in a bubble of its own time.
type stage struct {
	*testing.T
	m       *machines
	st      store.Transactor
	opt     imagecache.Options
	reports []*imagecache.Report
	log     bytes.Buffer
}

// onStage runs a test with n nodes of which half are to be cached.
func onStage(t *testing.T, n int, test func(s *stage)) {
	path := filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		st, err := sqlite.Open(context.Background(), path, sqlite.Options{Unsafe: true})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		s := &stage{T: t, m: newMachines(t, n), st: st}
		s.opt = imagecache.Options{Scout: s.m, Commander: s.m,
			Strategy: &strategy.Proportional{Share: 0.5, Seed: func() uint64 { return 1 }}, Store: st,
			Told: func(r *imagecache.Report) { s.reports = append(s.reports, r) },
			Log:  slog.New(slog.NewTextHandler(&s.log, nil))}
		test(s)
	})
}

// run has a loop run for a while.
func (s *stage) run(d time.Duration) {
	s.Helper()
	l, err := imagecache.New(s.opt)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), d+time.Second/2) // not at the moment of a round
	defer cancel()
	if err := l.Run(ctx); err != nil {
		s.Fatal(err)
	}
}

// once does a round.
func (s *stage) once() (*imagecache.Report, error) {
	s.Helper()
	l, err := imagecache.New(s.opt)
	if err != nil {
		s.Fatal(err)
	}
	return l.Round(s.Context())
}

func (s *stage) ready(want map[string]int) {
	s.Helper()
	if got := s.m.ready(); !maps.Equal(got, want) {
		s.Fatalf("ready: %v, want %v\n%s", got, want, s.log.String())
	}
}

func (s *stage) flights() map[string]*imagecache.NodeRecord {
	s.Helper()
	all, err := imagecache.NodeRecords(s.Context(), s.st)
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// alarms are those of the journal: what they are about, and their text.
func (s *stage) alarms() (out []string) {
	s.Helper()
	err := s.st.View(s.Context(), func(tx store.Tx) error {
		all, err := tx.Events(inventory.EventQuery{})
		for _, e := range all {
			if e.Kind == "alarm" || e.Kind == "alarm-over" {
				out = append(out, strings.Join([]string{e.Kind, e.Data["alarm"], e.Text}, " "))
			}
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func (s *stage) events(kind string) (n int) {
	s.Helper()
	err := s.st.View(s.Context(), func(tx store.Tx) error {
		all, err := tx.Events(inventory.EventQuery{})
		for _, e := range all {
			if e.Kind == kind {
				n++
			}
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return n
}

// TestCaches writes a share, rolls a new build of an image out, and begins nothing twice.
func TestCaches(t *testing.T) {
	onStage(t, 12, func(s *stage) {
		s.run(119 * time.Second)
		if len(s.m.told()) > 0 {
			t.Fatalf("the first round is after one spacing: %v", s.m.told())
		}
		s.run(time.Hour)
		s.ready(map[string]int{"u1": 3, "c1": 3})
		if n := len(s.m.told()); n != 6 {
			t.Errorf("%d commands for 6 nodes: %v", n, s.m.told())
		}
		if n := len(s.flights()); n != 0 {
			t.Errorf("%d are under way after all was done", n)
		}
		if d, e := s.events("directive"), s.events("directive-done"); d != 6 || e != 6 {
			t.Errorf("the journal has %d directives and that %d were done", d, e)
		}
		s.m.set(func() { s.m.images[0] = metal.Image{ID: "u2", Name: "ubuntu", Checksum: "2"} })
		s.opt.MaxEjectFraction = 0.5
		s.run(time.Hour)
		s.ready(map[string]int{"u2": 3, "c1": 3})
		if !strings.Contains(s.log.String(), "changed=[ubuntu]") {
			t.Errorf("the log does not tell of the new build:\n%s", s.log.String())
		}
	})
}

// TestDryRun changes nothing, and says what it would do.
func TestDryRun(t *testing.T) {
	onStage(t, 8, func(s *stage) {
		s.opt.DryRun = true
		s.run(time.Hour)
		r := s.reports[len(s.reports)-1]
		if len(s.m.told()) > 0 || len(s.flights()) > 0 || s.events("directive") > 0 {
			t.Errorf("a dry run has done something: %v", s.m.told())
		}
		if len(r.Directives) != 4 || r.Directives[0].Result != imagecache.Would || !r.DryRun {
			t.Errorf("it would do %+v", r.Directives)
		}
	})
}

// TestSuspends does nothing by lists that are empty, or half of what they were, or of a service
// that fails.
func TestSuspends(t *testing.T) {
	down := errors.New("the service is down")
	for name, broken := range map[string]func(*machines){
		"nodes":         func(m *machines) { m.nodes = nil },
		"images":        func(m *machines) { m.images = nil },
		"flavors":       func(m *machines) { m.flavors = nil },
		"error":         func(m *machines) { m.err = down },
		"fewer images":  func(m *machines) { m.images = m.images[:2] },
		"fewer nodes":   func(m *machines) { m.nodes = m.nodes[:5] },
		"fewer flavors": func(m *machines) { m.flavors = m.flavors[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, 12, func(s *stage) {
				for _, more := range []string{"x", "y", "z"} {
					s.m.images = append(s.m.images, metal.Image{ID: more, Name: more})
				}
				s.m.flavors = append(s.m.flavors, "b", "c")
				s.opt.MaxEjectFraction = 1
				s.run(time.Hour)
				before, had := len(s.m.told()), s.m.ready()
				s.m.set(func() { broken(s.m) })
				s.run(time.Hour) // another process: what was seen is in the store
				if r := s.reports[len(s.reports)-1]; r.Suspended == "" {
					t.Errorf("it was not suspended: %+v", r.Directives)
				}
				if got := s.m.told()[before:]; len(got) > 0 {
					t.Errorf("it did %v", got)
				}
				if name != "fewer images" {
					return
				}
				if err := imagecache.Confirm(
					s.Context(), s.st, imagecache.Confirmation{Shrunk: true, Until: time.Now().Add(time.Hour)},
				); err != nil {
					t.Fatal(err)
				}
				s.run(time.Hour)
				if got := s.m.ready(); maps.Equal(got, had) || got["x"] > 0 {
					t.Errorf("after leave was given: %v, before it %v", got, had)
				}
			})
		})
	}
}

// TestGuard holds back ejections of too many until a person gives leave.
func TestGuard(t *testing.T) {
	onStage(t, 20, func(s *stage) {
		s.run(time.Hour)
		s.m.set(func() { s.m.images[0].ID = "u2" })
		s.run(time.Hour)
		s.ready(map[string]int{"u1": 5, "u2": 2, "c1": 5}) // writing goes on
		r := s.reports[len(s.reports)-1]
		if r.Held == "" || !slices.ContainsFunc(r.Directives, func(d imagecache.NodeAction) bool { return d.Result == imagecache.Held }) {
			t.Errorf("nothing is held back: %+v", r)
		}
		err := imagecache.Confirm(s.Context(), s.st, imagecache.Confirmation{Ejections: 5, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		s.run(time.Hour)
		s.ready(map[string]int{"u2": 5, "c1": 5})
		// of 10 cached nodes, and then of 12
		if n := strings.Count(s.log.String(), "held back"); n < 1 || n > 2 {
			t.Errorf("the log says %d times that something is held back", n)
		}
	})
}

// TestGuardPart lets so many go as leave was given for, and no more, whatever is due; leave that
// was used is used up.
func TestGuardPart(t *testing.T) {
	onStage(t, 20, func(s *stage) {
		s.run(time.Hour)
		s.m.set(func() { s.m.images[0].ID, s.m.images[1].ID = "u2", "c2" })
		ejected := func() int {
			return len(slices.DeleteFunc(s.m.told(), func(c string) bool { return !strings.HasPrefix(c, "eject") }))
		}
		held := func(want int) {
			s.Helper()
			r, err := s.once()
			if err != nil || r.HeldBack() != want {
				t.Errorf("%d are held back, want %d: %v, %v", r.HeldBack(), want, r.Held, err)
			}
		}
		held(10)
		for _, c := range []struct{ leave, ejected, held int }{{5, 5, 5}, {1, 6, 4}, {9, 10, 0}} {
			if err := imagecache.Confirm(
				s.Context(), s.st, imagecache.Confirmation{Ejections: c.leave, Until: time.Now().Add(time.Hour)},
			); err != nil {
				t.Fatal(err)
			}
			s.opt.DryRun = true
			held(c.held) // and nothing of the leave is spent
			s.opt.DryRun = false
			held(c.held)
			if got := ejected(); got != c.ejected {
				t.Errorf("by leave for %d: %d were ejected, want %d", c.leave, got, c.ejected)
			}
			if c.held > 0 {
				held(c.held) // the leave is used up
			}
		}
	})
}

// TestAlarms has the journal say once when nothing is done any more, or when ejections wait for
// leave, and when that is over. A dry run says nothing.
func TestAlarms(t *testing.T) {
	onStage(t, 20, func(s *stage) {
		s.run(time.Hour)
		s.m.set(func() { s.m.images[0].ID, s.m.images[1].ID = "u2", "c2" })
		flavors := s.m.flavors
		s.m.set(func() { s.m.flavors = nil })
		s.opt.DryRun = true
		_, _ = s.once()
		s.opt.DryRun = false
		if got := s.alarms(); len(got) > 0 {
			t.Errorf("after a dry run: %q", got)
		}
		s.run(time.Hour)
		suspended := "alarm suspended unavailable: there are no flavors: probably a scouting error"
		if got := s.alarms(); !slices.Equal(got, []string{suspended}) {
			t.Errorf("alarms %q", got)
		}
		if all, err := imagecache.Alarms(s.Context(), s.st); err != nil || len(all) != 1 ||
			all[0].What != imagecache.AlarmSuspended || all[0].Since.IsZero() {
			t.Errorf("there stand %v, %v", all, err)
		}
		s.m.set(func() { s.m.flavors = flavors })
		s.run(time.Hour)
		held := "alarm held 10 of 10 cached nodes were to be ejected at once, more than 20 %"
		want := []string{suspended, held, "alarm-over suspended unavailable: there are no flavors: probably a scouting error"}
		if got := s.alarms(); !slices.Equal(got, want) {
			t.Errorf("alarms %q, want %q", got, want)
		}
		err := imagecache.Confirm(s.Context(), s.st, imagecache.Confirmation{Ejections: 10, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		s.run(time.Hour)
		if got := s.alarms(); len(got) != 4 || !strings.HasPrefix(got[3], "alarm-over held ") {
			t.Errorf("alarms %q", got)
		}
		if all, err := imagecache.Alarms(s.Context(), s.st); err != nil || len(all) > 0 {
			t.Errorf("there stand %v, %v", all, err)
		}
	})
}

// TestGuardRate lets ejections through whose rate is small enough.
func TestGuardRate(t *testing.T) {
	onStage(t, 20, func(s *stage) {
		s.run(time.Hour)
		s.m.set(func() { s.m.images[0].ID = "u2" })
		s.opt.EjectRate = loop.Rate{N: 2, Period: 10 * time.Minute}
		s.run(15 * time.Minute)
		if n := len(slices.DeleteFunc(s.m.told(), func(c string) bool { return !strings.HasPrefix(c, "eject") })); n != 4 {
			t.Errorf("%d ejections in two periods of 2", n)
		}
		s.run(2 * time.Hour)
		s.ready(map[string]int{"u2": 5, "c1": 5})
	})
}

// TestFailing leaves a node alone for longer and longer, mends it, and at last puts it into
// quarantine, until a person says otherwise.
func TestFailing(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.opt.Strategy = &strategy.Proportional{Share: 1}
		s.opt.DirectiveSpacing = 30 * time.Second
		s.m.change("n00", func(n *machine) { n.fails = 4 })
		s.run(3 * time.Hour)
		f := s.flights()["n00"]
		if f == nil || !f.Quarantined() || f.Failures != 3 || f.Error != "deploy failed" {
			t.Fatalf("of the node is known: %+v\n%s", f, s.log.String())
		}
		want := []string{"cache n00", "eject n00", "cache n00", "eject n00", "cache n00"}
		if got := s.m.told(); !slices.Equal(got, want) {
			t.Errorf("told: %v, want %v", got, want)
		}
		if got := s.alarms(); !slices.Equal(got, []string{"alarm quarantine n00 is left alone after 3 failures: deploy failed"}) ||
			s.events("quarantined") != 1 || s.events("directive-failed") != 2 {
			t.Errorf("alarms: %q; %d and %d in the journal", got, s.events("quarantined"), s.events("directive-failed"))
		}
		s.m.change("n00", func(n *machine) { n.fails, n.Failed, n.Provisioned = 0, "", false })
		if err := imagecache.Forget(s.Context(), s.st, "n00"); err != nil {
			t.Fatal(err)
		}
		s.run(time.Hour)
		s.ready(map[string]int{"u1": 1})
	})
}

// TestBackOff doubles the pause up to an hour.
func TestBackOff(t *testing.T) {
	for first, want := range map[time.Duration][]time.Duration{0: {1, 2, 4, 8, 16, 32, 60, 60}, 7 * time.Minute: {7, 14, 28, 56, 60, 60}} {
		onStage(t, 1, func(s *stage) {
			s.opt.Strategy, s.opt.Quarantine, s.opt.DirectiveSpacing, s.opt.Pause = &strategy.Proportional{Share: 1}, -1, time.Minute, first
			s.m.refuse = &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("no such thing")}
			var at []time.Time
			for n := 0; len(at) <= len(want) && n < 1e6; {
				before := len(s.m.told())
				r, err := s.once()
				if err != nil {
					t.Fatal(err)
				}
				if len(s.m.told()) > before {
					at = append(at, r.Time)
				}
				time.Sleep(time.Minute / 2)
			}
			for i, want := range want {
				if got := at[i+1].Sub(at[i]); got < want*time.Minute || got > (want+1)*time.Minute {
					t.Errorf("pause %d after %s: %v, want %d min", i+1, first, got, want)
				}
			}
		})
	}
}

// TestNoAnswer counts what was not answered as under way, and sees what becomes of it.
func TestNoAnswer(t *testing.T) {
	onStage(t, 2, func(s *stage) {
		s.m.refuse = &compute.Error{Kind: compute.ErrTimeout, Err: errors.New("no answer")}
		s.run(10 * time.Minute)
		if got := s.m.told(); len(got) != 1 {
			t.Fatalf("told %v", got)
		}
		s.m.set(func() { s.m.refuse = nil })
		s.run(time.Hour)
		s.ready(map[string]int{"u1": 1})
	})
}

// TestTogether keeps to the limits of what nodes share.
func TestTogether(t *testing.T) {
	onStage(t, 12, func(s *stage) {
		s.opt.Strategy = &strategy.Proportional{Share: 1}
		s.opt.Together = imagecache.Together{Rack: 1}
		s.run(130 * time.Second)
		racks := map[string]int{}
		for _, c := range s.m.told() {
			_, id, _ := strings.Cut(c, " ")
			racks[s.m.node(id).Rack]++
		}
		if want := map[string]int{"r0": 1, "r1": 1, "r2": 1}; !maps.Equal(racks, want) {
			t.Errorf("begun by rack: %v, want %v", racks, want)
		}
		s.run(time.Hour)
		s.ready(map[string]int{"u1": 6, "c1": 6})
	})
}

// TestTaken leaves nodes to whoever has them.
func TestTaken(t *testing.T) {
	onStage(t, 4, func(s *stage) {
		s.opt.Strategy = taker{s.m, &strategy.Proportional{Share: 1}}
		r, err := s.once()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range r.Directives {
			if d.Result != imagecache.Taken {
				t.Errorf("%s: d.Result = %s d.Error = %s; want d.Result == imagecache.Taken", d.Node, d.Result, d.Error)
			}
		}
		if n := s.events("directive-lost"); n != 4 {
			t.Errorf("%d in the journal", n)
		}
		s.m.refuse = &compute.Error{Kind: compute.ErrConflict, Err: errors.New("it cannot be done in this state")}
		for i := range s.m.nodes {
			s.m.change(s.m.nodes[i].ID, func(n *machine) { n.Used, n.Provisioned = false, false })
		}
		s.opt.Strategy, s.opt.DirectiveSpacing, s.opt.Pause = &strategy.Proportional{Share: 1}, time.Second, time.Minute
		before := len(s.m.told())
		s.run(10*time.Minute + 30*time.Second)
		if n := len(s.m.told()) - before; n < 4*9 || n > 4*11 {
			t.Errorf("%d commands to 4 nodes that refuse them, in ten pauses", n)
		}
		for id, f := range s.flights() {
			if f.Failures != 0 || !strings.Contains(f.Error, "cannot be done in this state") {
				t.Errorf(`%s: f = %+v; want f.Failures == 0 and f.Error with "cannot be done in this state"`, id, f)
			}
		}
		s.m.set(func() { s.m.refuse = nil })
		s.run(time.Hour)
		s.ready(map[string]int{"u1": 2, "c1": 2})
		if n := len(s.flights()); n != 0 {
			t.Errorf("%d are remembered", n)
		}
	})
}

// taker has all nodes be somebody's between the look and the command.
type taker struct {
	m *machines
	metal.Strategy
}

func (k taker) Plan(ctx context.Context, f *metal.Fleet) (metal.Plan, error) {
	for _, n := range f.Nodes {
		k.m.change(n.ID, func(n *machine) { n.Used, n.Provisioned = true, true })
	}
	return k.Strategy.Plan(ctx, f)
}

// TestLies refuses what a strategy asks for that cannot be.
func TestLies(t *testing.T) {
	onStage(t, 4, func(s *stage) {
		s.m.change("n00", func(n *machine) { n.Provisioned = true })
		s.m.change("n01", func(n *machine) { n.Cached, n.Image = true, "u1" })
		s.opt.Strategy = liar{
			Eject: []string{"n00", "n02", "gone"},
			Cache: map[string][]metal.Write{gib: {{Node: "n01", Image: "u1"}, {Node: "n03", Image: "none"}, {Node: "n03", Image: "u1"}}},
		}
		r, err := s.once()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range r.Directives {
			if d.Result != imagecache.Refused || d.Error == "" {
				t.Errorf(
					"d.Do = %s d.Node = %s: d.Result = %s"+
						`; want d.Result == imagecache.Refused and d.Error != ""`,
					d.Do, d.Node, d.Result,
				)
			}
		}
		if len(s.m.told()) > 0 || len(r.Directives) != 6 {
			t.Errorf("told %v", s.m.told())
		}
	})
}

type liar metal.Plan

func (l liar) Plan(context.Context, *metal.Fleet) (metal.Plan, error) { return metal.Plan(l), nil }

// plant records a flight as a process of before may have.
func (s *stage) plant(f *imagecache.NodeRecord) {
	s.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		s.Fatal(err)
	}
	s.note("director.metal:node:"+f.Node, string(text))
}

// note records something as a process of before may have.
func (s *stage) note(name, text string) {
	s.Helper()
	if err := s.st.Update(s.Context(), func(tx store.Tx) error { return tx.SaveNote(name, text) }); err != nil {
		s.Fatal(err)
	}
}
