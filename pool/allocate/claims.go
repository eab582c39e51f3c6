package allocate

import (
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/demand"
)

// claims is what requests that come before get.
type claims struct {
	// what they ask of ready instances, by the keys of sources' records
	wanted map[int64][]need
	// keys of records of sources from which they get what can be made
	claimed map[int64]bool
	// what requests ask for that are trying whether it can be had: they come first for that, and
	// for more
	trying map[int64][]demand.Demand
	// how many places of a source are for requests that have their instances made, and not for
	// instances made ahead
	reserved map[int64]int
}

// isClaimed reports whether a request that comes before gets what can be made of a source, or what
// can be made of asks.
func (c *claims) isClaimed(key int64, asks demand.Demand) bool {
	return c.claimed[key] || slices.ContainsFunc(c.trying[key], func(w demand.Demand) bool { return w.Within(asks) })
}

// need is what a request that comes before asks of a ready instance.
type need struct {
	least compute.Resources
	most  float64 // that it may cost for an hour; 0: anything
}

// taken reports whether an earlier request waits for any instance that a source has.
func (c *claims) taken(key int64) bool {
	for _, z := range c.wanted[key] {
		if z == (need{}) {
			return true
		}
	}
	return false
}

// reservedFor reports whether an instance is for an earlier request. Such a request keeps all
// that would do for it, however few it asks for: it is called at once, and what it picks is its
// own choice.
func (c *claims) reservedFor(k *prospects, i *compute.Instance) (bool, error) {
	for _, z := range c.wanted[i.SourceKey] {
		if lacks, err := lackedBy(k.plan, z.least, i); err != nil {
			return true, err
		} else if dear, err := k.tooExpensive(i, z.most); err != nil || !lacks && !dear {
			return true, err
		}
	}
	return false, nil
}
