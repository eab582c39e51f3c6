package imagecache

import (
	"cmp"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
)

// Ready is how many nodes of a flavor are ready with an image.
type Ready struct {
	Flavor string `json:"flavor"`
	Image  string `json:"image"`
	Title  string `json:"image_name,omitempty"`
	Nodes  int    `json:"nodes"`
}

// Taking is a node that a user has taken since the last round.
type Taking struct {
	Node   string `json:"node"`
	Flavor string `json:"flavor"`
	// the image that was ready on it, or else is on it now; "": not known
	Image string `json:"image,omitempty"`
	Hit   bool   `json:"hit"` // an image was ready on it
	// the mean time to write an image to such a node; 0: a miss, or not known
	Saved time.Duration `json:"-"`
}

// stood is what a node showed in the last round.
type stood struct {
	free, ready bool
	image       string
}

// tracks is what a loop remembers between rounds to measure how well it does. It is not stored:
// another process begins anew.
type tracks struct {
	nodes map[string]stood
	takes map[string]time.Duration // the mean time of recent writes, by flavor
}

// wrote adds the time of a write to the mean.
func (t *tracks) wrote(flavor string, took time.Duration) {
	if t.takes == nil {
		t.takes = map[string]time.Duration{}
	}
	if mean, known := t.takes[flavor]; known {
		took = mean + (took-mean)/8
	}
	t.takes[flavor] = took
}

// follow compares a fleet with that of the last round. It returns which nodes were taken, and which
// are ready. A node with a directive under way does not count as taken.
func (t *tracks) follow(f *metal.Fleet, flights map[string]*NodeRecord, title func(image string) string) (taken []Taking, ready []Ready) {
	type pair struct{ flavor, image string }
	counts := map[pair]int{}
	next := make(map[string]stood, len(f.Nodes))
	for i := range f.Nodes {
		n := &f.Nodes[i]
		f := flights[n.ID]
		busy := f != nil && f.UnderWay()
		now := stood{free: !n.Provisioned && !busy, ready: !n.Provisioned && !busy && n.Cached && !n.Writing, image: n.Image}
		next[n.ID] = now
		if now.ready {
			counts[pair{n.Flavor, n.Image}]++
		}
		if before := t.nodes[n.ID]; n.Used && before.free {
			one := Taking{Node: n.ID, Flavor: n.Flavor, Image: n.Image, Hit: before.ready}
			if one.Hit {
				one.Image, one.Saved = before.image, t.takes[n.Flavor]
			}
			taken = append(taken, one)
		}
	}
	t.nodes = next
	for p, n := range counts {
		ready = append(ready, Ready{p.flavor, p.image, title(p.image), n})
	}
	slices.SortFunc(ready, func(a, b Ready) int { return cmp.Or(cmp.Compare(a.Flavor, b.Flavor), cmp.Compare(a.Image, b.Image)) })
	return taken, ready
}
