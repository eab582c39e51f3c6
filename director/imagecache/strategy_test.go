package imagecache_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/director/loop"
)

// vectors are what was seen of Arsenal's own code: those of testdata, and those of the shared file
// where it is there. The keys of sections are those of that file.
func vectors(t *testing.T, file string, sections ...string) (all []json.RawMessage) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		all = append(all, line)
	}
	shared := os.Getenv("HOSTLER_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	data, err = os.ReadFile(filepath.Join(shared, "specs", "director-vectors.json"))
	if err != nil {
		return all
	}
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		var some []json.RawMessage
		if err := json.Unmarshal(whole[s], &some); err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			t.Fatalf("no vectors in %s", s)
		}
		all = append(all, some...)
	}
	return all
}

func read(t *testing.T, v json.RawMessage, also any) *strategy.Case {
	t.Helper()
	c, err := strategy.ParseCase(v)
	if err != nil {
		t.Fatalf("err = %v\nv = %s; want no error", err, v)
	}
	if also != nil {
		if err := json.Unmarshal(v, also); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// check holds a plan against what is always true of one.
func check(t *testing.T, f *metal.Fleet, p metal.Plan) {
	t.Helper()
	nodes, images := map[string]*metal.Node{}, map[string]bool{}
	for i := range f.Nodes {
		nodes[f.Nodes[i].ID] = &f.Nodes[i]
	}
	for _, m := range f.Images {
		images[m.ID] = true
	}
	for _, id := range p.Eject {
		if n := nodes[id]; n == nil || n.Provisioned || !n.Cached {
			t.Errorf("eject %s: it is not there, or there is nothing to eject: %+v", id, n)
		}
		delete(nodes, id)
	}
	for flavor, writes := range p.Cache {
		if !slices.Contains(f.Flavors, flavor) || len(writes) == 0 {
			t.Errorf("%d writes for flavor %q", len(writes), flavor)
		}
		for _, w := range writes {
			if n := nodes[w.Node]; n == nil || !n.Free() || n.Flavor != flavor || !images[w.Image] {
				t.Errorf("%s: %v: not free, ejected, written twice, of another flavor, or no such image: %+v", flavor, w, n)
			}
			delete(nodes, w.Node)
		}
	}
}

func chosen(p metal.Plan) map[string][]string {
	out := map[string][]string{}
	for flavor, writes := range p.Cache {
		for _, w := range writes {
			out[flavor] = append(out[flavor], w.Image)
		}
	}
	return out
}

func TestVectors(t *testing.T) {
	for n, v := range vectors(t, "plan", "hand", "strategy") {
		var want struct {
			Title  string
			Expect struct {
				Eject []string
				Cache map[string][]string
			}
		}
		c := read(t, v, &want)
		plan, err := c.Strategy.Plan(t.Context(), &c.Fleet)
		if err != nil {
			t.Fatal(err)
		}
		check(t, &c.Fleet, plan)
		if !slices.Equal(plan.Eject, want.Expect.Eject) || !reflect.DeepEqual(chosen(plan), want.Expect.Cache) {
			t.Errorf(
				"vector %d %s: got\n%v\n%v\nand not\n%v\n%v", n, want.Title, plan.Eject, chosen(plan), want.Expect.Eject,
				want.Expect.Cache,
			)
		}
	}
}

func TestRankingVectors(t *testing.T) {
	for n, v := range vectors(t, "ranking", "eject_ranking") {
		var want struct{ Expect struct{ Images []string } }
		c := read(t, v, &want)
		weights, cached := make([]int, len(c.Fleet.Images)), make([]int, len(c.Fleet.Images))
		for i, m := range c.Fleet.Images {
			weights[i] = c.Strategy.Weights.Of("", m.Name)
			for _, node := range c.Fleet.Nodes {
				if !node.Provisioned && node.Cached && node.Image == m.ID {
					cached[i]++
				}
			}
		}
		got := []string{}
		for _, i := range strategy.Ranking(weights, cached) {
			got = append(got, c.Fleet.Images[i].Name)
		}
		if !slices.Equal(got, want.Expect.Images) {
			t.Errorf("vector %d: %v and not %v", n, got, want.Expect.Images)
		}
	}
}

func TestLimiterVectors(t *testing.T) {
	for n, v := range vectors(t, "limiter", "rate_limiter") {
		var want struct {
			Limit  int
			Period int      `json:"period_s"`
			Steps  [][3]int `json:"steps_dt_offered_granted"`
		}
		if err := json.Unmarshal(v, &want); err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1e9, 0)
		l := loop.NewLimiter(loop.Rate{N: want.Limit, Period: time.Duration(want.Period) * time.Second}, now)
		for i, s := range want.Steps {
			now = now.Add(time.Duration(s[0]) * time.Second)
			if got := l.Grant(s[1], now); got != s[2] {
				t.Errorf("vector %d, step %d: %d of %d, and not %d", n, i, got, s[1], s[2])
			}
		}
	}
	if got := loop.NewLimiter(loop.Rate{}, time.Now()).Grant(7, time.Now()); got != 7 {
		t.Errorf("without a limit: %d of 7", got)
	}
}

func TestStatisticsVectors(t *testing.T) {
	for n, v := range vectors(t, "statistics", "statistics") {
		var want struct{ Expect map[string]imagecache.Count }
		c := read(t, v, &want)
		all, got := imagecache.Statistics(&c.Fleet)
		got["all"] = all
		if !reflect.DeepEqual(got, want.Expect) {
			t.Errorf("vector %d:\n%v\nand not\n%v", n, got, want.Expect)
		}
	}
}

// TestRoundsVectors has plans done at once, as far as the limiters let them: what is ejected is
// free from the next round on.
func TestRoundsVectors(t *testing.T) {
	for n, v := range vectors(t, "rounds", "rounds") {
		var want struct {
			Rounds     [][5]int
			CacheLimit [2]int `json:"cache_limit"`
			EjectLimit [2]int `json:"eject_limit"`
		}
		c := read(t, v, &want)
		start := time.Unix(1e9, 0)
		limiter := func(l [2]int) *loop.Limiter {
			return loop.NewLimiter(loop.Rate{N: l[0], Period: time.Duration(l[1]) * time.Second}, start)
		}
		cache, eject := limiter(want.CacheLimit), limiter(want.EjectLimit)
		nodes := map[string]*metal.Node{}
		for i := range c.Fleet.Nodes {
			nodes[c.Fleet.Nodes[i].ID] = &c.Fleet.Nodes[i]
		}
		for i, r := range want.Rounds {
			p := c.Strategy.Decide(&c.Fleet).Plan
			check(t, &c.Fleet, p)
			writes := strategy.Interleave(&c.Fleet, p)
			now := start.Add(time.Duration(r[0]) * time.Second)
			granted := cache.Grant(len(writes), now)
			ejected := eject.Grant(len(p.Eject), now)
			if got := [5]int{r[0], len(p.Eject), len(writes), ejected, granted}; got != r {
				t.Errorf("vector %d, round %d: %v and not %v", n, i, got, r)
			}
			for _, id := range p.Eject[:ejected] {
				nodes[id].Cached, nodes[id].Image = false, ""
			}
			for _, w := range writes[:granted] {
				nodes[w.Node].Cached, nodes[w.Node].Image = true, w.Image
			}
		}
	}
}

// TestInterleave gives the first place to the flavor that lacks most of its goal.
func TestInterleave(t *testing.T) {
	f := &metal.Fleet{Flavors: []string{"many", "few"}, Images: []metal.Image{{ID: "u"}}}
	plan := metal.Plan{Cache: map[string][]metal.Write{}}
	for i := range 8 {
		id := fmt.Sprint("m", i)
		f.Nodes = append(f.Nodes, metal.Node{ID: id, Flavor: "many", Cached: i >= 4, Image: "u"})
		if i < 4 {
			plan.Cache["many"] = append(plan.Cache["many"], metal.Write{Node: id, Image: "u"})
		}
	}
	for i := range 2 {
		id := fmt.Sprint("f", i)
		f.Nodes = append(f.Nodes, metal.Node{ID: id, Flavor: "few"})
		plan.Cache["few"] = append(plan.Cache["few"], metal.Write{Node: id, Image: "u"})
	}
	var got []string
	for _, w := range strategy.Interleave(f, plan) {
		got = append(got, w.Node)
	}
	// Of many, 4, 3, 2, 1 of 8 are missing; of few, 2 and 1 of 2.
	if want := []string{"f0", "m0", "f1", "m1", "m2", "m3"}; !slices.Equal(got, want) {
		t.Errorf("%v and not %v", got, want)
	}
}
