package strategy

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/hostler-project/hostler/compute/metal"
)

// round is the state of one decision.
type round struct {
	*Proportional
	fleet   *metal.Fleet
	images  map[string]int32 // indexes of current images by id
	names   map[string]bool  // of current images
	retired map[string]*metal.Retired
	seed    uint64
}

// flavor is what is gathered of one flavor.
type flavor struct {
	*Account
	n      int     // its index in the fleet's flavors
	counts []int32 // nodes by image
	free   []int32 // nodes, as indexes in the fleet, also in the next two fields
	stale  []int32
	cached []int32 // only gathered to even things out
	ready  int     // nodes with a current image that is not being written
	wiped  int     // nodes that are being wiped
	writes int     // how often the last free node was written
	worn   bool    // not all free nodes were written as often
}

// Decide returns the plan for a fleet, with its reasons. It changes nothing. The same fleet,
// settings and seed give the same decision.
func (p *Proportional) Decide(f *metal.Fleet) *Decision {
	r := &round{Proportional: p, fleet: f, images: make(map[string]int32, len(f.Images))}
	if p.Seed != nil {
		r.seed = p.Seed()
	} else {
		r.seed = rand.Uint64()
	}
	for i := range f.Images {
		if _, twice := r.images[f.Images[i].ID]; !twice {
			r.images[f.Images[i].ID] = int32(i)
		}
	}
	d := &Decision{Flavors: make([]Account, len(f.Flavors))}
	all := make([]flavor, len(f.Flavors))
	byName := make(map[string]*flavor, len(f.Flavors))
	counts := make([]int32, len(f.Flavors)*len(f.Images))
	for i, name := range f.Flavors {
		d.Flavors[i].Flavor = name
		all[i] = flavor{Account: &d.Flavors[i], n: i, counts: counts[i*len(f.Images):][:len(f.Images):len(f.Images)]}
		if byName[name] == nil {
			byName[name] = &all[i]
		}
	}
	eject := r.gather(byName)
	if r.kept() {
		r.remember()
		for i := range all {
			eject = append(eject, r.waves(&all[i])...)
		}
		slices.Sort(eject) // all in the order of the nodes
	}
	var surplus []int32
	d.Plan.Cache = make(map[string][]metal.Write, len(f.Flavors))
	for i := range all {
		fl := &all[i]
		if byName[fl.Flavor] != fl {
			continue
		}
		if picks := r.choose(fl); len(picks) > 0 {
			d.Plan.Cache[fl.Flavor] = r.pair(fl, picks)
		} else if p.Rebalance {
			surplus = append(surplus, r.surplus(fl)...)
		}
	}
	d.Plan.Eject = make([]string, 0, len(eject)+len(surplus))
	for _, n := range append(eject, surplus...) {
		d.Plan.Eject = append(d.Plan.Eject, f.Nodes[n].ID)
	}
	d.Plan.Rebalance = len(surplus)
	return d
}

// gather counts the nodes of each flavor. It returns those that are ejected whatever is decided for
// their flavor.
func (r *round) gather(byName map[string]*flavor) (eject []int32) {
	nodes := r.fleet.Nodes
	kept := r.kept()
	var fl *flavor
	for i := range nodes {
		n := &nodes[i]
		if i == 0 || n.Flavor != nodes[i-1].Flavor {
			fl = byName[n.Flavor]
		}
		switch {
		case n.Provisioned:
			if n.Wiping && fl != nil {
				fl.wiped++
			}
			continue
		case !n.Cached:
			if fl != nil {
				fl.worn = fl.worn || fl.Free > 0 && n.Writes != fl.writes
				fl.writes = n.Writes
				fl.free = append(fl.free, int32(i))
				fl.Free++
				fl.Base++
			}
			continue
		}
		image, current := r.images[n.Image]
		switch {
		case !current && fl != nil && kept:
			fl.stale = append(fl.stale, int32(i))
		case !current:
			eject = append(eject, int32(i))
			if fl != nil {
				fl.Stale++
			}
		case fl != nil:
			fl.counts[image]++
			fl.Cached++
			fl.Base++
			if !n.Writing {
				fl.ready++
			}
			if r.Rebalance {
				fl.cached = append(fl.cached, int32(i))
			}
		}
	}
	return eject
}

// goal returns the whole part of Share times n nodes.
func (r *round) goal(n int) int { return int(math.Floor(r.Share * float64(n))) }

// pair assigns images to free nodes.
func (r *round) pair(fl *flavor, picks []int32) []metal.Write {
	random := rand.New(rand.NewPCG(r.seed, uint64(2*fl.n)))
	free, nodes := fl.free, r.fleet.Nodes
	some := len(picks)
	byWear := fl.worn && !r.AnyNode
	if byWear {
		// all are shuffled: of nodes that were written as often any may come first
		some = len(free)
	}
	for i := range min(some, len(free)-1) {
		j := i + random.IntN(len(free)-i)
		free[i], free[j] = free[j], free[i]
	}
	if byWear {
		slices.SortStableFunc(free, func(a, b int32) int { return nodes[a].Writes - nodes[b].Writes })
	}
	writes := make([]metal.Write, len(picks))
	for i, image := range picks {
		writes[i] = metal.Write{Node: nodes[free[i]].ID, Image: r.fleet.Images[image].ID}
	}
	return writes
}
