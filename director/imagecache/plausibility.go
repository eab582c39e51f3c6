package imagecache

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
)

// plausibility returns why a fleet as it was seen is not plausible, so that no action is based
// on it; "": it is plausible. before is nil at first.
func plausibility(f *metal.Fleet, before *lastFleet, leave bool) string {
	switch {
	case len(f.Nodes) == 0:
		return "there are no nodes: probably a scouting error"
	case len(f.Images) == 0:
		return "there are no images: probably a scouting error"
	case len(f.Flavors) == 0:
		return "there are no flavors: probably a scouting error"
	case before == nil || leave:
		return ""
	}
	for _, list := range []struct {
		what     string
		was, now int
	}{
		{"nodes", before.Nodes, len(f.Nodes)}, {"images", len(before.Images), len(f.Images)},
		{"flavors", len(before.Flavors), len(f.Flavors)},
	} {
		if 2*list.now < list.was {
			return fmt.Sprintf("there are %d %s where there were %d: more than half have gone", list.now, list.what, list.was)
		}
	}
	return ""
}

// tooMany returns why so many nodes may not be ejected in a round without a person's permission;
// "": they may. One at a time always may.
func tooMany(f *metal.Fleet, eject int, fraction float64) string {
	if eject <= 1 || fraction >= 1 {
		return ""
	}
	cached := 0
	for i := range f.Nodes {
		if n := &f.Nodes[i]; n.Cached && !n.Provisioned {
			cached++
		}
	}
	if most := fraction * float64(cached); float64(eject) > most {
		return fmt.Sprintf("%d of %d cached nodes were to be ejected at once, more than %g %%", eject, cached, 100*fraction)
	}
	return ""
}

// Changes are the differences between two looks. Images go by their names, as a new build has the
// name of the old.
type Changes struct {
	New            []string `json:"new,omitempty"`
	Changed        []string `json:"changed,omitempty"`
	Retired        []string `json:"retired,omitempty"`
	NewFlavors     []string `json:"new_flavors,omitempty"`
	RetiredFlavors []string `json:"retired_flavors,omitempty"`
}

// Any reports whether anything differs.
func (c *Changes) Any() bool {
	return len(c.New)+len(c.Changed)+len(c.Retired)+len(c.NewFlavors)+len(c.RetiredFlavors) > 0
}

// compareFleets returns what differs, and what to remember. An image that has gone is remembered
// as long as it is on a node.
func compareFleets(f *metal.Fleet, before *lastFleet, now time.Time) (c Changes, next lastFleet) {
	next = lastFleet{Nodes: len(f.Nodes), Images: f.Images, Flavors: f.Flavors}
	if before == nil {
		return c, next
	}
	builds := func(images []metal.Image) map[string][]string {
		out := map[string][]string{}
		for _, i := range images {
			name := cmp.Or(i.Name, i.ID)
			out[name] = append(out[name], i.ID+" "+i.Checksum)
		}
		return out
	}
	was, is := builds(before.Images), builds(f.Images)
	for name, ids := range is {
		slices.Sort(ids)
		old, known := was[name]
		slices.Sort(old)
		switch {
		case !known:
			c.New = append(c.New, name)
		case !slices.Equal(old, ids):
			c.Changed = append(c.Changed, name)
		}
	}
	for name := range was {
		if is[name] == nil {
			c.Retired = append(c.Retired, name)
		}
	}
	for _, name := range f.Flavors {
		if !slices.Contains(before.Flavors, name) {
			c.NewFlavors = append(c.NewFlavors, name)
		}
	}
	for _, name := range before.Flavors {
		if !slices.Contains(f.Flavors, name) {
			c.RetiredFlavors = append(c.RetiredFlavors, name)
		}
	}
	for _, list := range []*[]string{&c.New, &c.Changed, &c.Retired, &c.NewFlavors, &c.RetiredFlavors} {
		slices.Sort(*list)
	}
	next.Retired = retired(f, before, now)
	return c, next
}

// retired returns the images that are not current any more and still on nodes, the first retired
// first.
func retired(f *metal.Fleet, before *lastFleet, now time.Time) (out []metal.Retired) {
	current, there := map[string]bool{}, map[string]bool{}
	for i := range f.Images {
		current[f.Images[i].ID] = true
	}
	for i := range f.Nodes {
		if n := &f.Nodes[i]; n.Cached {
			there[n.Image] = true
		}
	}
	for _, old := range before.Retired {
		if !current[old.ID] && there[old.ID] {
			out = append(out, old)
		}
	}
	for _, old := range before.Images {
		if !current[old.ID] && there[old.ID] {
			out = append(out, metal.Retired{Image: old, At: now})
		}
	}
	return out
}
