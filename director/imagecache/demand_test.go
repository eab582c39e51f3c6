package imagecache_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

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
