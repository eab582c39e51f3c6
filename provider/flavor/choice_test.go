package flavor_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// vectors are choices that were recorded of another program.
type vectors struct {
	Cheapest []struct {
		Flavors       []flavor.Flavor
		Cores, RAM    int
		Regex         string
		Chosen, Error string
	}
	Sets []struct {
		Flavors    []flavor.Flavor
		Cores, RAM int
		Regex      string
		Sets       [][]string
		Best       []string // with the order Cheapest
		Slots      []string // with Listed
	}
	Hosts []struct{ Server, Host string }
}

func recorded(t *testing.T) (v vectors) {
	data, err := os.ReadFile("testdata/choice.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Cheapest) < 14 || len(v.Sets) < 9 || len(v.Hosts) < 14 {
		t.Fatalf("%d, %d and %d vectors", len(v.Cheapest), len(v.Sets), len(v.Hosts))
	}
	return v
}

func names(flavors []flavor.Flavor) []string {
	out := []string{}
	for _, f := range flavors {
		out = append(out, f.Name)
	}
	return out
}

func TestCheapestVectors(t *testing.T) {
	for i, v := range recorded(t).Cheapest {
		got, err := flavor.New(v.Flavors).Cheapest(flavor.Need{Cores: v.Cores, RAM: v.RAM, Regex: v.Regex})
		want := map[string]error{"": nil, "none": flavor.ErrNone, "regex": flavor.ErrRegex}[v.Error]
		if got.Name != v.Chosen || !errors.Is(err, want) {
			t.Errorf("vector %d: %q, %v, want %q, %v", i, got.Name, err, v.Chosen, want)
		}
		if err != nil && compute.Hint(err) == "" {
			t.Errorf("vector %d: %v does not say what to do", i, err)
		}
	}
}

func TestSetsVectors(t *testing.T) {
	for i, v := range recorded(t).Sets {
		table, need := flavor.New(v.Flavors), flavor.Need{Cores: v.Cores, RAM: v.RAM, Regex: v.Regex}
		if got, err := table.Choose(need, v.Sets, flavor.Cheapest); err != nil || !slices.Equal(names(got), v.Best) {
			t.Errorf("vector %d, cheapest: %q, %v, want %q", i, names(got), err, v.Best)
		}
		if got, err := table.Choose(need, v.Sets, flavor.Listed); err != nil || !slices.Equal(names(got), v.Slots) {
			t.Errorf("vector %d, listed: %q, %v, want %q", i, names(got), err, v.Slots)
		}
	}
}

func TestHostnames(t *testing.T) {
	for _, v := range recorded(t).Hosts {
		if got := flavor.Hostname(v.Server); got != v.Host {
			t.Errorf("%q: %q, want %q", v.Server, got, v.Host)
		}
	}
	for server, host := range map[string]string{
		"test-123-one": "test-123-one", "teSt-123-one": "test-123-one", "test_123-one": "test-123-one", "test_123*ONE": "test-123-one",
		strings.Repeat("a", 70): strings.Repeat("a", 63), "": "", "--a": "--a",
	} {
		if got := flavor.Hostname(server); got != host {
			t.Errorf("%q: %q, want %q", server, got, host)
		}
	}
}

var park = []flavor.Flavor{
	{ID: "1", Name: "a.small", Cores: 1, RAM: 2048, Disk: 10},
	{ID: "2", Name: "b.small", Cores: 1, RAM: 2048, Disk: 10, Price: 0.02},
	{ID: "3", Name: "c.small", Cores: 1, RAM: 2048, Disk: 10, Price: 0.01},
	{ID: "4", Name: "a.large", Cores: 8, RAM: 16384, Disk: 20},
	{ID: "5", Name: "b.large", Cores: 8, RAM: 16384, Disk: 30},
	{ID: "6", Name: "a.gpu", Cores: 8, RAM: 16384, Disk: 20, GPUs: 2},
	{ID: "7", Name: "d.tiny", Cores: 1, RAM: 1024},
	{ID: "d.tiny", Name: "e.wide", Cores: 2, RAM: 512},
}

func TestTies(t *testing.T) {
	want := []string{"d.tiny", "c.small", "b.small", "a.small", "e.wide", "a.large", "a.gpu", "b.large"}
	table := flavor.New(park)
	if got := names(table.All()); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	backwards := slices.Clone(park)
	slices.Reverse(backwards)
	if got := names(flavor.New(backwards).All()); !slices.Equal(got, want) {
		t.Errorf("the order given counts: %q, want %q", got, want)
	}
	if f, err := table.Cheapest(flavor.Need{GPUs: 1}); err != nil || f.Name != "a.gpu" {
		t.Errorf("with a GPU: %v, %v", f, err)
	}
	if f, err := table.Cheapest(flavor.NeedOf(compute.Spec{Cores: 1, Memory: 1<<30 + 1}, "")); err != nil || f.Name != "c.small" {
		t.Errorf("a byte more than 1 GiB: %v, %v", f, err)
	}
}

func TestSets(t *testing.T) {
	table := flavor.New(park)
	for _, c := range []struct {
		name  string
		sets  [][]string
		order flavor.Order
		need  flavor.Need
		want  []string
	}{
		{"no sets, cheapest", nil, flavor.Cheapest, flavor.Need{}, []string{"d.tiny"}},
		{"no sets, listed", nil, flavor.Listed, flavor.Need{}, []string{"d.tiny"}},
		{"nothing, cheapest", nil, flavor.Cheapest, flavor.Need{Cores: 9}, []string{}},
		{"nothing, listed", nil, flavor.Listed, flavor.Need{Cores: 9}, []string{""}},
		{"the usual order", [][]string{{"^a"}, {"^b"}}, "", flavor.Need{Cores: 8}, []string{"a.large", "b.large"}},
		{
			"best first", [][]string{{"^b"}, {"^c"}, {"^a"}}, flavor.Cheapest, flavor.Need{RAM: 2048},
			[]string{"c.small", "b.small", "a.small"},
		},
		{"as listed", [][]string{{"^b"}, {"^c"}, {"^a"}}, flavor.Listed, flavor.Need{RAM: 2048}, []string{"b.small", "c.small", "a.small"}},
		{"of no set ends it", [][]string{{"^a"}, {"^b"}}, flavor.Cheapest, flavor.Need{RAM: 2048}, []string{"c.small"}},
		{"in two sets", [][]string{{"^a"}, {"large"}}, flavor.Listed, flavor.Need{Cores: 8}, []string{"a.large", "a.large"}},
		{
			"in two sets, the first is used up", [][]string{{"^a"}, {"large"}}, flavor.Cheapest, flavor.Need{Cores: 8},
			[]string{"a.large", "b.large"},
		},
		{"a set of nothing", [][]string{{"^x"}, {"^b", "^x"}}, flavor.Listed, flavor.Need{Cores: 8}, []string{"", "b.large"}},
		{"an empty set", [][]string{{}}, flavor.Listed, flavor.Need{}, []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := table.Choose(c.need, c.sets, c.order); err != nil || !slices.Equal(names(got), c.want) {
				t.Errorf("%q, %v, want %q", names(got), err, c.want)
			}
		})
	}
	if _, err := table.Choose(flavor.Need{}, [][]string{{"^("}}, flavor.Listed); !errors.Is(err, flavor.ErrRegex) ||
		!errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a bad expression in a set: %v", err)
	}
	if _, err := table.Choose(flavor.Need{}, nil, "dearest"); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("an order that there is not: %v", err)
	}
}

func TestGet(t *testing.T) {
	table := flavor.New(park)
	for want, id := range map[string]string{"4": "4", "a.large": "4", "d.tiny": "d.tiny"} {
		if f, err := table.Get(want); err != nil || f.ID != id {
			t.Errorf("%s: f = %v, err = %v; want no error and f.ID == id", want, f, err)
		}
	}
	for want, hint := range map[string]string{"a.lagre": "a.large", "zebra": "there are d.tiny", "": "there are d.tiny"} {
		_, err := table.Get(want)
		if !errors.Is(err, compute.ErrNotFound) || !strings.Contains(compute.Hint(err), hint) {
			t.Errorf(
				"%q: err = %v, compute.Hint(err) = %q"+
					"; want error compute.ErrNotFound and compute.Hint(err) with hint",
				want, err, compute.Hint(err),
			)
		}
	}
	if _, err := flavor.New(nil).Get("a"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
}

func TestErrorsHelp(t *testing.T) {
	table := flavor.New(park)
	for _, c := range []struct {
		need flavor.Need
		hint string
	}{
		{flavor.Need{Cores: 9}, "b.large"},
		{flavor.Need{Cores: 8, Regex: "small"}, "a.large would be large enough"},
	} {
		_, err := table.Cheapest(c.need)
		if !errors.Is(err, compute.ErrTooLarge) || !strings.Contains(err.Error(), flavor.ErrNone.Error()) ||
			!strings.Contains(compute.Hint(err), c.hint) {
			t.Errorf(
				"%v: err = %v, compute.Hint(err) = %q"+
					"; want error compute.ErrTooLarge and err.Error() with flavor.ErrNone.Error() and "+
					"compute.Hint(err) with c.hint",
				c.need, err, compute.Hint(err),
			)
		}
	}
}

// TestRemembersMany: more expressions than are remembered are all answered.
func TestRemembersMany(t *testing.T) {
	table := flavor.New(park)
	for i := range 1000 {
		regex := "^" + strings.Repeat("a?", i%300) + "a.gpu$"
		if f, err := table.Cheapest(flavor.Need{Regex: regex}); err != nil || f.ID != "6" {
			t.Fatalf(`%d: f = %v, err = %v; want no error and f.ID == "6"`, i, f, err)
		}
	}
}

func TestHasSpaceFor(t *testing.T) {
	f := flavor.Flavor{Cores: 4, RAM: 8000, Disk: 20}
	for _, c := range []struct {
		cores     float64
		ram, disk int
		want      int
	}{{1, 0, 0, 4}, {1, 3000, 0, 2}, {0, 100, 0, 8}, {1, 8000, 20, 1}, {1, 8001, 0, 0}, {0.3, 0, 0, 13}, {-1, 0, 0, 0}} {
		if got := f.HasSpaceFor(c.cores, c.ram, c.disk); got != c.want {
			t.Errorf("%+v: got = %d; want got == c.want", c, got)
		}
	}
}
