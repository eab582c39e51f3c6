package strategy

import (
	"math"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
)

// kept reports whether stale nodes are kept for a while.
func (p *Proportional) kept() bool { return p.Ready > 0 || p.MaxStale > 0 }

// remember makes the maps for looking up stale images.
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

// useless reports whether no user should get a stale image any more: it is unknown, it has no
// successor, or it has been stale for too long.
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

// waves returns the stale nodes of a flavor that go now: the useless ones, and those for which as
// many others are ready. If no node is free for missing images, it adds as many as it can without
// falling below the floor. The others are kept, and count as available nodes.
func (r *round) waves(fl *flavor) (eject []int32) {
	keep := fl.stale[:0]
	for _, n := range fl.stale {
		// no user can use one that is still being written
		if node := &r.fleet.Nodes[n]; node.Writing || r.useless(node.Image) {
			eject = append(eject, n)
		} else {
			keep = append(keep, n)
		}
	}
	// Nodes that are being wiped are available soon. Without them the goal and the floor would sink
	// with each wave.
	goal := r.goal(fl.Base + len(keep) + fl.wiped)
	fl.Floor = int(math.Ceil(r.Ready * float64(goal)))
	if r.Ready < 1 { // one at a time may go, or few nodes would never get the new image
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

// since returns when a node's image was retired; zero, which comes first: not known.
func (r *round) since(n int32) (t time.Time) {
	if old := r.retired[r.fleet.Nodes[n].Image]; old != nil {
		return old.At
	}
	return t
}
