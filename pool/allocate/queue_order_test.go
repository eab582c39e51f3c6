package allocate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute/inventory"
)

func TestOrder(t *testing.T) {
	w := func(id int64, project string, priority int) *inventory.Waiter {
		return &inventory.Waiter{ID: id, Project: project, Priority: priority, Count: 1, Wants: []int64{1}}
	}
	big := func(w *inventory.Waiter, count, cores int) *inventory.Waiter {
		w.Count, w.Cores = count, float64(cores)
		return w
	}
	passed := func(w *inventory.Waiter, n int) *inventory.Waiter { w.Passed = n; return w }
	wants := func(w *inventory.Waiter, keys ...int64) *inventory.Waiter { w.Wants = keys; return w }
	for _, c := range []struct {
		name         string
		ws           []*inventory.Waiter
		held, weight map[string]float64
		want         string
	}{
		{"nobody", nil, nil, nil, ""},
		{"first come", []*inventory.Waiter{w(2, "", 0), w(1, "", 0), w(3, "", 0)}, nil, nil, "1 2 3"},
		{"priority before time", []*inventory.Waiter{w(1, "", 0), w(2, "", 10), w(3, "", -5), w(4, "", 10)}, nil, nil, "2 4 1 3"},
		{"priority before fairness", []*inventory.Waiter{w(1, "a", 0), w(2, "b", 1)}, map[string]float64{"b": 99}, nil, "2 1"},
		{"who has least", []*inventory.Waiter{w(1, "a", 0), w(2, "b", 0)}, map[string]float64{"a": 2, "b": 1}, nil, "2 1"},
		{"as much: in turns", []*inventory.Waiter{w(1, "a", 0), w(2, "a", 0), w(3, "b", 0), w(4, "b", 0)}, nil, nil, "1 3 2 4"},
		{
			"by weight", []*inventory.Waiter{w(1, "a", 0), w(2, "a", 0), w(3, "b", 0), w(4, "b", 0), w(5, "b", 0)}, nil,
			map[string]float64{"a": 1, "b": 2}, "1 3 4 2 5",
		},
		{
			"a large one counts as such",
			[]*inventory.Waiter{big(w(1, "a", 0), 4, 0), w(2, "a", 0), w(3, "b", 0), w(4, "b", 0)}, nil, nil, "1 3 4 2",
		},
		{"cores count", []*inventory.Waiter{big(w(1, "a", 0), 1, 8), w(2, "a", 0), w(3, "b", 0), w(4, "b", 0)}, nil, nil, "1 3 4 2"},
		{"passed too often", []*inventory.Waiter{passed(w(1, "", -5), 7), w(2, "", 10)}, nil, nil, "1 2"},
		{"passed often", []*inventory.Waiter{passed(w(1, "", -5), 6), w(2, "", 10)}, nil, nil, "2 1"},
		{"passed, and not the oldest", []*inventory.Waiter{w(1, "", 0), passed(w(2, "", -5), 9), w(3, "", 0)}, nil, nil, "1 3 2"},
		{"the oldest of another source", []*inventory.Waiter{w(1, "", 0), passed(wants(w(2, "", -5), 2), 7), w(3, "",
			0)}, nil, nil, "2 1 3"},
	} {
		before := fmt.Sprint(values(c.ws))
		var got []string
		for _, w := range orderOf(c.ws, c.held, c.weight) {
			got = append(got, fmt.Sprint(w.ID))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
		if after := fmt.Sprint(values(c.ws)); after != before {
			t.Errorf("%s: it changed %s into %s", c.name, before, after)
		}
	}
}

func values(ws []*inventory.Waiter) (out []inventory.Waiter) {
	for _, w := range ws {
		out = append(out, *w)
	}
	return out
}

// queueModel is a queue for some sources, of which one computer at a time comes free, with leases
// that end in any order.
type queueModel struct {
	next   int64
	ws     []*inventory.Waiter
	held   map[string]float64
	weight map[string]float64
	out    []string // the projects that have what
}

func (m *queueModel) join(project string, priority int, wants ...int64) *inventory.Waiter {
	m.next++
	w := &inventory.Waiter{ID: m.next, Project: project, Priority: priority, Count: 1, Wants: wants}
	m.ws = append(m.ws, w)
	return w
}

// serve gives what came free at a source to the first who wants it, as the engine does.
func (m *queueModel) serve(key int64) (served *inventory.Waiter, before []*inventory.Waiter) {
	line := orderOf(m.ws, m.held, m.weight)
	n := slices.IndexFunc(line, func(w *inventory.Waiter) bool { return slices.Contains(w.Wants, key) })
	if n < 0 {
		return nil, nil
	}
	served = line[n]
	for _, w := range passedBy(line, served.ID) {
		w.Passed++
	}
	before = m.ws
	m.ws = slices.DeleteFunc(slices.Clone(m.ws), func(w *inventory.Waiter) bool { return w == served })
	m.held[served.Project]++
	m.out = append(m.out, served.Project)
	return served, before
}

func (m *queueModel) release(n int) {
	m.held[m.out[n]]--
	m.out = slices.Delete(m.out, n, n+1)
}

// TestOrderProperties: whatever comes, nobody is passed by one of equal priority and project that
// came later and wants what he wants, and whoever waits is served after at most eight hand-outs of
// what he wants for each who was there before him, and himself.
func TestOrderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &queueModel{
			held: map[string]float64{},
			weight: map[string]float64{
				"a": rapid.Float64Range(0.1, 10).Draw(t, "a"), "b": 1, "c": rapid.Float64Range(0.1, 10).Draw(t, "c"),
			},
		}
		type wait struct{ older, served int }
		waits := map[int64]*wait{}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "do") {
			case 0, 1:
				wants := rapid.SampledFrom([][]int64{{1}, {2}, {1, 2}}).Draw(t, "wants")
				w := m.join(
					rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "project"),
					rapid.SampledFrom([]int{-5, 0, 0, 10}).Draw(t, "priority"), wants...,
				)
				n := 0
				for _, o := range m.ws {
					if o != w {
						n++ // by way of others also those who want something else may come before
					}
				}
				waits[w.ID] = &wait{older: n}
			case 2, 3:
				key := rapid.Int64Range(1, 2).Draw(t, "source")
				served, before := m.serve(key)
				if served == nil {
					continue
				}
				for _, w := range before {
					if w.ID < served.ID && w.Project == served.Project && w.Priority == served.Priority && subset(served.Wants, w.Wants) {
						t.Fatalf("%d was passed by %d", w.ID, served.ID)
					}
					if at := waits[w.ID]; w != served && slices.Contains(w.Wants, key) {
						if at.served++; at.served > (patience+1)*(at.older+1) {
							t.Fatalf("%d with %d before it waits after %d hand-outs", w.ID, at.older, at.served)
						}
					}
				}
			default:
				if len(m.out) > 0 {
					m.release(rapid.IntRange(0, len(m.out)-1).Draw(t, "ends"))
				}
			}
		}
	})
}

func subset(a, b []int64) bool {
	return !slices.ContainsFunc(a, func(k int64) bool { return !slices.Contains(b, k) })
}

// TestOrderFair: while all projects want more, what they have on average is as their weights, but
// for one instance and the eighth that goes by time alone. Leases end by chance, so no choice of
// those that end can hold a project down: rapid draws the seed of that chance, not the leases.
func TestOrderFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "chance"), 0))
		m := &queueModel{
			held:   map[string]float64{},
			weight: map[string]float64{"a": float64(rapid.IntRange(1, 3).Draw(t, "a")), "b": float64(rapid.IntRange(1, 3).Draw(t, "b"))},
		}
		for range 60 { // the first project's flood came before
			m.join("a", 0, 1)
		}
		const all, before, steps = 12, 80, 400
		mean := 0.0 // what b has, after those before
		for step := range steps {
			m.join("b", 0, 1)
			m.join("a", 0, 1)
			if len(m.out) == all {
				m.release(chance.IntN(all))
			}
			m.serve(1)
			if step >= before {
				mean += m.held["b"] / (steps - before)
			}
		}
		want := all * m.weight["b"] / (m.weight["a"] + m.weight["b"])
		if d := mean - want; d > 2 || d < -2 {
			t.Fatalf("b has %v of %d on average, and its part is %v", mean, all, want)
		}
	})
}

// orderOf is order, with what projects have and their weights.
func orderOf(ws []*inventory.Waiter, held, weight map[string]float64) []*inventory.Waiter {
	return order(ws, func(p string) projectShare { return projectShare{held: held[p], weight: weight[p]} })
}
