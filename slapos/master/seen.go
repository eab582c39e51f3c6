package master

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/hostler-project/hostler/slapos/slap"
)

// seen is a computer, and what is on it. A computer that only has supplies or instances has no
// record.
type seen struct {
	record   *slap.ComputerRecord
	supplies map[string]*slap.SupplyRecord // by URL; nil: there are none
	// what its partitions have, in the order of their names
	placed []*slap.InstanceRecord
	others map[string]*slap.InstanceRecord // by ID, what is on it without one; nil: nothing is
	filter map[string]string               // of those that were asked for by its name alone
	// what its node was told last; nil: it has changed since
	document atomic.Pointer[document]
	// the revision at which that became otherwise, or a later one
	changed int64
}

// takesPlace says whether an instance is the one that a partition has.
func takesPlace(n *slap.InstanceRecord) bool { return !n.Beyond && !n.Shared && n.Partition != "" }

func (c *seen) search(partition string) (at int, found bool) {
	return slices.BinarySearchFunc(
		c.placed, partition, func(n *slap.InstanceRecord, name string) int { return cmp.Compare(n.Partition, name) },
	)
}

// at is what a partition has, or nil.
func (c *seen) at(partition string) *slap.InstanceRecord {
	if c == nil {
		return nil
	}
	if at, found := c.search(partition); found {
		return c.placed[at]
	}
	return nil
}

// put adds an instance. Who takes a place has it from then on, whoever had it before.
func (c *seen) put(n *slap.InstanceRecord) {
	if !takesPlace(n) {
		if c.others == nil {
			c.others = map[string]*slap.InstanceRecord{}
		}
		c.others[n.ID] = n
		return
	}
	if at, found := c.search(n.Partition); found {
		c.placed[at] = n
	} else {
		c.placed = slices.Insert(c.placed, at, n)
	}
}

// drop forgets an instance, and leaves its place to another that has it by now.
func (c *seen) drop(n *slap.InstanceRecord) {
	if !takesPlace(n) {
		delete(c.others, n.ID)
	} else if at, found := c.search(n.Partition); found && c.placed[at].ID == n.ID {
		c.placed = slices.Delete(c.placed, at, at+1)
	}
}

// empty says that nothing is known of it.
func (c *seen) empty() bool {
	return c.record == nil && len(c.supplies) == 0 && len(c.placed) == 0 && len(c.others) == 0
}

// all is what is on it, in no order.
func (c *seen) all() iter.Seq[*slap.InstanceRecord] {
	return func(yield func(*slap.InstanceRecord) bool) {
		for _, n := range c.placed {
			if !yield(n) {
				return
			}
		}
		maps.Values(c.others)(yield)
	}
}

// runners are the computers on which something runs, in the order of their names, and how many
// instances of it each has.
type runners struct {
	guids []string
	count map[string]int
}

func (r *runners) add(guid string) {
	if r.count[guid]++; r.count[guid] == 1 {
		at, _ := slices.BinarySearch(r.guids, guid)
		r.guids = slices.Insert(r.guids, at, guid)
	}
}

func (r *runners) drop(guid string) {
	if r.count[guid]--; r.count[guid] == 0 {
		delete(r.count, guid)
		at, _ := slices.BinarySearch(r.guids, guid)
		r.guids = slices.Delete(r.guids, at, at+1)
	}
}
