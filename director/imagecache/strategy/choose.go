package strategy

import (
	"math/rand/v2"
)

// choose returns the images to write to a flavor's free nodes, the most needed first, as indexes in
// the fleet.
func (r *round) choose(fl *flavor) []int32 {
	images := r.fleet.Images
	fl.Images = make([]Tally, len(images))
	for i := range images {
		t := &fl.Images[i]
		t.Cached, t.Most = int(fl.counts[i]), -1
		if r.images[images[i].ID] != int32(i) {
			t.Most = 0 // the image is listed a second time
			continue
		}
		t.Weight = r.Weights.Of(fl.Flavor, images[i].Name)
		t.Least, _ = r.Least.Of(fl.Flavor, images[i].Name)
		if most, limited := r.Most.Of(fl.Flavor, images[i].Name); limited {
			t.Most = most
			t.Least = min(t.Least, most)
		}
	}
	share := r.goal(fl.Base)
	fl.Goal = share
	short := 0 // how many nodes images lack to their least
	for i := range fl.Images {
		short += max(0, fl.Images[i].Least-fl.Images[i].Cached)
	}
	short = min(short, fl.Free)
	picks := make([]int32, 0, max(short, min(fl.Free, share-fl.Cached), 0))
	picks = r.least(fl, picks, short)
	if r.Goal == ByDemand {
		picks = r.demanded(fl, picks, share-fl.Cached)
	} else if need := min(fl.Free, share-fl.Cached) - len(picks); need > 0 {
		if r.Choice == Random {
			picks = r.any(fl, picks, need)
		} else {
			picks = weighted(fl.Images, picks, need)
		}
	}
	fl.Need = len(picks)
	fl.Goal = max(fl.Goal, min(fl.Cached+fl.Need, fl.Base))
	return picks
}

// least picks images that have fewer nodes than their least, the one that lacks most first.
func (r *round) least(fl *flavor, picks []int32, need int) []int32 {
	if need <= 0 {
		return picks
	}
	var h heap
	for i := range fl.Images {
		if t := &fl.Images[i]; t.Least > t.Cached {
			h.add(int64(t.Least-t.Cached), i)
		}
	}
	h.order()
	for range need {
		picks = append(picks, h.item())
		fl.Images[h.item()].Writes++
		h.lower(1)
	}
	return picks
}

// weighted picks by forced distribution: each time the image that is the most short of its fair
// share, the earliest of several. It uses whole numbers. Let image i have the weight w of W in all
// and c nodes, and let T nodes be cached in the end. Its shortage is T*w - c*W, and each write
// reduces it by W.
//
// Images at their limit leave their share to the others, in proportion to those. An image of weight
// 0 is picked only if all have weight 0.
func weighted(all []Tally, picks []int32, need int) []int32 {
	total, weights := int64(need), int64(0)
	for i := range all {
		total += int64(all[i].Cached + all[i].Writes)
		weights += int64(all[i].Weight)
	}
	even := weights == 0
	rest := total // the weight of the images that are not full
	full := make([]bool, len(all))
	for again := !even; again; {
		again = false
		restNow, weightsNow := rest, weights
		for i := range all {
			if t := &all[i]; !full[i] && t.Most >= 0 && t.Weight > 0 && int64(t.Most)*weightsNow < restNow*int64(t.Weight) {
				full[i], again = true, true
				rest -= int64(t.Most)
				weights -= int64(t.Weight)
			}
		}
	}
	step := max(weights, 1)
	h := heap{items: make([]short, 0, len(all))}
	for i := range all {
		t := &all[i]
		has := int64(t.Cached + t.Writes)
		switch {
		case even && t.Most != 0:
			h.add(-has, i)
		case full[i]:
			h.add((int64(t.Most)-has)*step, i)
			t.Fair = float64(t.Most)
		case t.Weight > 0:
			h.add(rest*int64(t.Weight)-has*weights, i)
			t.Fair = float64(rest) * float64(t.Weight) / float64(weights)
		}
	}
	h.order()
	for need > 0 && len(h.items) > 0 {
		t := &all[h.item()]
		if t.Most >= 0 && t.Cached+t.Writes >= t.Most {
			h.drop()
			continue
		}
		picks = append(picks, h.item())
		t.Writes++
		need--
		h.lower(step)
	}
	return picks
}

// any picks images at random.
func (r *round) any(fl *flavor, picks []int32, need int) []int32 {
	random := rand.New(rand.NewPCG(r.seed, uint64(2*fl.n+1)))
	even := true
	for i := range fl.Images {
		even = even && fl.Images[i].Weight == 0
	}
	var from []int32
	for i := range fl.Images {
		if t := &fl.Images[i]; t.Most != 0 && (t.Weight > 0 || even) {
			from = append(from, int32(i))
		}
	}
	for need > 0 && len(from) > 0 {
		k := random.IntN(len(from))
		t := &fl.Images[from[k]]
		if t.Most >= 0 && t.Cached+t.Writes >= t.Most {
			from[k] = from[len(from)-1]
			from = from[:len(from)-1]
			continue
		}
		picks = append(picks, from[k])
		t.Writes++
		need--
	}
	return picks
}

// Ranking returns the images of which to eject one node each, in order, so that the cached nodes
// come nearer to the weights. cached[i] nodes have image i. Images with more than their share by
// weight give up the whole part of their excess.
func Ranking(weights, cached []int) []int {
	var total, all int64
	for i := range weights {
		total += int64(cached[i])
		all += int64(weights[i])
	}
	var h heap
	step, sum := max(all, 1), int64(0)
	for i := range weights {
		if over := int64(cached[i])*step - total*int64(weights[i]); over > 0 {
			h.add(over, i)
			sum += over
		}
	}
	h.order()
	out := make([]int, 0, sum/step)
	for range sum / step {
		out = append(out, int(h.item()))
		h.lower(step)
	}
	return out
}

// surplus returns the nodes of a flavor that are ejected to even things out. It never goes below
// the goal, nor below an image's least, and takes no node that is being written.
func (r *round) surplus(fl *flavor) (eject []int32) {
	spare := fl.Cached - fl.Goal
	if spare <= 0 || r.Goal == ByDemand || r.Choice == Random {
		return nil
	}
	weights, cached := make([]int, len(fl.Images)), make([]int, len(fl.Images))
	for i, t := range fl.Images {
		weights[i], cached[i] = t.Weight, t.Cached
	}
	nodes := make([][]int32, len(fl.Images))
	for _, n := range fl.cached {
		if node := &r.fleet.Nodes[n]; !node.Writing {
			image := r.images[node.Image]
			nodes[image] = append(nodes[image], n)
		}
	}
	for _, i := range Ranking(weights, cached) {
		if len(eject) == spare {
			break
		}
		if cached[i] <= fl.Images[i].Least || len(nodes[i]) == 0 {
			continue
		}
		eject = append(eject, nodes[i][0])
		nodes[i] = nodes[i][1:]
		cached[i]--
	}
	fl.Surplus = len(eject)
	return eject
}

// short is an image's shortage.
type short struct {
	by    int64
	image int32
}

// heap has the shortest image on top, the earliest of several.
type heap struct{ items []short }

func (h *heap) add(by int64, image int) { h.items = append(h.items, short{by, int32(image)}) }
func (h *heap) item() int32             { return h.items[0].image }

func (h *heap) order() {
	for i := len(h.items)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// lower reduces the shortage of the top one.
func (h *heap) lower(by int64) {
	h.items[0].by -= by
	h.down(0)
}

// drop removes the top one.
func (h *heap) drop() {
	last := len(h.items) - 1
	h.items[0] = h.items[last]
	h.items = h.items[:last]
	if last > 0 {
		h.down(0)
	}
}

// down moves an item down until no item below it comes before it.
func (h *heap) down(i int) {
	item := h.items[i]
	for {
		c := 2*i + 1
		if c >= len(h.items) {
			break
		}
		if c+1 < len(h.items) && h.items[c+1].before(h.items[c]) {
			c++
		}
		if !h.items[c].before(item) {
			break
		}
		h.items[i] = h.items[c]
		i = c
	}
	h.items[i] = item
}

func (s short) before(o short) bool { return s.by > o.by || s.by == o.by && s.image < o.image }
