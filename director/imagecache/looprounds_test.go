package imagecache_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"errors"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/director/loop"
)

// instant is a fleet in which what is begun is done at once, as in the vectors.
type instant struct {
	mu    sync.Mutex
	fleet metal.Fleet
}

func (m *instant) Nodes(context.Context) ([]metal.Node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]metal.Node{}, m.fleet.Nodes...), nil
}
func (m *instant) Images(context.Context) ([]metal.Image, error) { return m.fleet.Images, nil }
func (m *instant) Flavors(context.Context) ([]string, error)     { return m.fleet.Flavors, nil }

func (m *instant) set(id string, cached bool, image string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.fleet.Nodes {
		if n := &m.fleet.Nodes[i]; n.ID == id {
			n.Cached, n.Image = cached, image
		}
	}
	return nil
}

func (m *instant) Cache(_ context.Context, node string, image metal.Image) error {
	return m.set(node, true, image.ID)
}
func (m *instant) Eject(_ context.Context, node string) error { return m.set(node, false, "") }

// TestLoopVectors has whole loops go through the rounds of the vectors: one loop for all rounds,
// and one for each round as cron has it.
func TestLoopVectors(t *testing.T) {
	for n, v := range vectors(t, "rounds", "rounds") {
		for name, each := range map[string]bool{"one loop": false, "a loop each": true} {
			var want struct {
				Rounds     [][5]int
				CacheLimit [2]int `json:"cache_limit"`
				EjectLimit [2]int `json:"eject_limit"`
			}
			c := read(t, v, &want)
			onStage(t, 0, func(s *stage) {
				m := &instant{fleet: c.Fleet}
				s.opt.Scout, s.opt.Commander, s.opt.Strategy, s.opt.MaxEjectFraction = m, m, &c.Strategy, 1
				rate := func(l [2]int) loop.Rate {
					return loop.Rate{N: l[0], Period: time.Duration(l[1]) * time.Second}
				}
				s.opt.CacheRate, s.opt.EjectRate = rate(want.CacheLimit), rate(want.EjectLimit)
				start := time.Now()
				l, err := imagecache.New(s.opt)
				if err != nil {
					s.Fatal(err)
				}
				if each { // the periods of the vectors begin with the first
					s.note(
						"director.metal:limits",
						`{"cache":{"start":"`+start.Format(time.RFC3339)+`"},"eject":{"start":"`+start.Format(time.RFC3339)+`"}}`,
					)
				}
				for i, r := range want.Rounds {
					time.Sleep(time.Until(start.Add(time.Duration(r[0]) * time.Second)))
					if each {
						if l, err = imagecache.New(s.opt); err != nil {
							s.Fatal(err)
						}
					}
					report, err := l.Round(s.Context())
					if err != nil {
						s.Fatal(err)
					}
					got := [5]int{0: r[0]}
					for _, d := range report.Directives {
						k := map[imagecache.Verb]int{imagecache.Eject: 1, imagecache.Cache: 2}[d.Do]
						got[k]++
						switch d.Result {
						case imagecache.Issued:
							got[k+2]++
						case imagecache.Limited:
						default:
							s.Errorf("%s: vector %d, round %d: %s of %s was %s: %s", name, n, i, d.Do, d.Node, d.Result, d.Error)
						}
					}
					if got != r {
						s.Errorf("%s: vector %d, round %d: %v and not %v", name, n, i, got, r)
					}
				}
			})
		}
	}
}

// stuck is a commander of a service at which each image is being written, and never is.
type stuck struct {
	m     *machines
	calls []string
}

func (c *stuck) Cache(_ context.Context, node string, image metal.Image) error {
	c.m.change(node, func(n *machine) { n.Cached, n.Writing, n.Image = true, true, image.ID })
	c.calls = append(c.calls, "cache "+node)
	return nil
}

func (c *stuck) Eject(_ context.Context, node string) error {
	c.m.change(node, func(n *machine) { n.Cached, n.Writing, n.Image = false, false, "" })
	c.calls = append(c.calls, "eject "+node)
	return nil
}

// TestStuck has images that are being written for ever: when their time is over the node is wiped
// and tried again, and at last left alone with an alarm. It does not count as cached.
func TestStuck(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		c := &stuck{m: s.m}
		s.opt.Commander, s.opt.Strategy = c, &strategy.Proportional{Share: 1}
		s.run(12 * time.Hour)
		want := []string{"cache n00", "eject n00", "cache n00", "eject n00", "cache n00"}
		if !slices.Equal(c.calls, want) || len(s.alarms()) != 1 {
			t.Errorf("told %v, want %v; alarms %v\n%s", c.calls, want, s.alarms(), s.log.String())
		}
		if f := s.flights()["n00"]; f == nil || !f.Quarantined() {
			t.Errorf("of the node is known: %+v", f)
		}
	})
}

// mistaken is a commander who says that nothing was begun, and is wrong.
type mistaken struct{ *machines }

func (c mistaken) Cache(ctx context.Context, node string, image metal.Image) error {
	_ = c.machines.Cache(ctx, node, image)
	return &compute.Error{Kind: compute.ErrFailed, Err: errors.New("500")}
}

// TestBegunAfterAll has images be written of which it was said that they were not: they have their
// time, and are done.
func TestBegunAfterAll(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.opt.Commander, s.opt.Strategy = mistaken{s.m}, &strategy.Proportional{Share: 1}
		s.m.set(func() { s.m.write = 50 * time.Minute })
		s.run(2 * time.Hour)
		s.ready(map[string]int{"u1": 1})
		if got := s.m.told(); len(got) != 1 {
			t.Errorf("told %v\n%s", got, s.log.String())
		}
	})
}
