package strategy

import (
	"math"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
)

// kept reports whether stale images are kept for a while.
func (p *Proportional) kept() bool { return p.Ready > 0 || p.MaxStale > 0 }

// remember makes the maps that stale images are looked up in.
func (r *round) remember() {
	r.names = make(map[string]bool, len(r.fleet.Images))
	for i := range r.fleet.Images {
		r.names[r.fleet.Images[i].Name] = true
	}
	r.retired = make(map[string]*metal.Retired, len(r.fleet.Retired))
	for i := range r.fleet.Retired {
		r.retired[r.fleet.Retired[i].ID] = &r.fleet.Retired[i]
	}
}

// useless reports whether nobody is to get a stale image any more: nobody knows what it is, there
// is none in its place, or it has been stale for too long.
func (r *round) useless(image string) bool {
	old := r.retired[image]
	switch {
	case image == "":
		return true
	case old == nil:
		return false
	case old.Name != "" && !r.names[old.Name]:
		return true
	}
	return r.MaxStale > 0 && !old.At.IsZero() && !r.fleet.Time.IsZero() && r.fleet.Time.Sub(old.At) >= r.MaxStale
}

// waves says which stale nodes of a flavor go now: the useless ones; those in whose place as many
// others are ready; and where no node is free for what is missing, as many as can be without
// falling below the floor. The others are kept, and counted among the nodes that are to be had.
func (r *round) waves(fl *flavor) (eject []int32) {
	keep := fl.stale[:0]
	for _, n := range fl.stale {
		// what is still being written is of use to nobody
		if node := &r.fleet.Nodes[n]; node.Writing || r.useless(node.Image) {
			eject = append(eject, n)
		} else {
			keep = append(keep, n)
		}
	}
	// What is being wiped is to be had soon: without it the goal, and the floor with it, would sink
	// with each wave.
	goal := r.goal(fl.Base + len(keep) + fl.wiped)
	fl.Floor = int(math.Ceil(r.Ready * float64(goal)))
	if r.Ready < 1 { // one at a time may go, or few nodes would never get the new one
		fl.Floor = max(0, min(fl.Floor, goal-1))
	}
	kept := max(0, min(len(keep), goal-fl.ready))
	missing := goal - fl.Cached - fl.Free - fl.wiped
	kept -= max(0, min(missing, kept, kept+fl.ready-fl.Floor))
	slices.SortStableFunc(keep, func(a, b int32) int { return r.since(a).Compare(r.since(b)) })
	gone := len(keep) - kept
	eject = append(eject, keep[:gone]...)
	fl.Stale += len(eject)
	fl.Kept = kept
	fl.Base += kept
	return eject
}

// since is when a node's image was retired; zero, and so first: nobody knows.
func (r *round) since(n int32) (t time.Time) {
	if old := r.retired[r.fleet.Nodes[n].Image]; old != nil {
		return old.At
	}
	return t
}
