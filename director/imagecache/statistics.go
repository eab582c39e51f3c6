package imagecache

import "github.com/hostler-project/hostler/compute/metal"

// Count is how many nodes of a fleet, or of a flavor, are in which state.
type Count struct {
	Provisioned    int `json:"provisioned"`
	NotProvisioned int `json:"not_provisioned"`
	Available      int `json:"available"` // an image may be written to them
	Cached         int `json:"cached"`    // not provisioned, with an image
	Total          int `json:"total"`
	// of the cached ones, by the image's name, or its id if the name is not known; every image is
	// listed
	Images map[string]int `json:"images"`
}

// statistics counts all nodes of a fleet, and those of each of its flavors.
func statistics(f *metal.Fleet) (all Count, flavors map[string]Count) {
	names := make(map[string]string, len(f.Images))
	for i := range f.Images {
		names[f.Images[i].ID] = f.Images[i].Name
	}
	all.Images = map[string]int{}
	counts := make(map[string]*Count, len(f.Flavors))
	for _, flavor := range f.Flavors {
		counts[flavor] = &Count{Images: map[string]int{}}
	}
	var last *Count
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if i == 0 || n.Flavor != f.Nodes[i-1].Flavor {
			last = counts[n.Flavor]
		}
		all.add(n, names)
		if last != nil {
			last.add(n, names)
		}
	}
	flavors = make(map[string]Count, len(counts))
	for flavor, c := range counts {
		flavors[flavor] = *c
	}
	return all, flavors
}

// add counts one node.
func (c *Count) add(n *metal.Node, names map[string]string) {
	c.Total++
	switch {
	case n.Provisioned:
		c.Provisioned++
		return
	case !n.Cached:
		c.Available++
	default:
		c.Cached++
		name, ok := names[n.Image]
		if !ok || name == "" {
			name = n.Image
		}
		c.Images[name]++
	}
	c.NotProvisioned++
}
