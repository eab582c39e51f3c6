package strategy

import (
	"cmp"
	"slices"

	"github.com/hostler-project/hostler/compute/metal"
)

// Interleave returns a plan's writes in an order in which a limit starves no flavor. The next one
// is of the flavor that lacks the largest part of its target, the first in the fleet of several.
func Interleave(f *metal.Fleet, p metal.Plan) []metal.Write {
	has := make(map[string]int, len(f.Flavors)) // what flavors have when all is done
	total := 0
	for flavor, writes := range p.Cache {
		has[flavor] = len(writes)
		total += len(writes)
	}
	ejected := make(map[string]bool, len(p.Eject))
	for _, id := range p.Eject {
		ejected[id] = true
	}
	for i := range f.Nodes {
		if n := &f.Nodes[i]; n.Cached && !n.Provisioned && !ejected[n.ID] {
			if _, written := has[n.Flavor]; written {
				has[n.Flavor]++
			}
		}
	}
	type turn struct {
		metal.Write
		missing, of int64
	}
	turns := make([]turn, 0, total)
	done := make(map[string]bool, len(f.Flavors))
	add := func(flavor string) {
		writes := p.Cache[flavor]
		for k, w := range writes {
			turns = append(turns, turn{w, int64(len(writes) - k), int64(has[flavor])})
		}
		done[flavor] = true
	}
	for _, flavor := range f.Flavors {
		if !done[flavor] {
			add(flavor)
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(b.missing*a.of, a.missing*b.of) })
	out := make([]metal.Write, len(turns))
	for i := range turns {
		out[i] = turns[i].Write
	}
	return out
}
