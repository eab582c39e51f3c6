package caching

import (
	"cmp"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
)

// Ready is how many nodes of a flavor stand ready with an image.
type Ready struct {
	Flavor string `json:"flavor"`
	Image  string `json:"image"`
	Title  string `json:"image_name,omitempty"`
	Nodes  int    `json:"nodes"`
}

// Taking is a node that somebody has taken since the last round.
type Taking struct {
	Node   string `json:"node"`
	Flavor string `json:"flavor"`
	// that was ready on it, or else that is on it now, as far as anybody knows
	Image string `json:"image,omitempty"`
	Hit   bool   `json:"hit"` // an image was ready on it
	// so long it takes to write one to such a node, in the mean; 0: a miss, or nobody knows
	Saved time.Duration `json:"-"`
}

// stood is what a node was in the last round.
type stood struct {
	free, ready bool
	image       string
}

// tracks is what a loop remembers from round to round to tell how well it does. It is not kept:
// another process begins anew.
type tracks struct {
	nodes map[string]stood
	takes map[string]time.Duration // writing an image, in the mean of the last ones, by flavor
}

// wrote notes how long it took.
func (t *tracks) wrote(flavor string, took time.Duration) {
	if t.takes == nil {
		t.takes = map[string]time.Duration{}
	}
	if mean, known := t.takes[flavor]; known {
		took = mean + (took-mean)/8
	}
	t.takes[flavor] = took
}

// follow compares a fleet with that of the last round, and says which nodes were taken, and what
// stands ready. What is under way is nobody's to take.
func (t *tracks) follow(f *metal.Fleet, flights map[string]*Flight, title func(image string) string) (taken []Taking, ready []Ready) {
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
