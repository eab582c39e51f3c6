package ledger

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/hostler-project/hostler/slapos/record"
)

// Computer is a computer with its content. If it only has supplies or instances, it has no record.
type Computer struct {
	Record   *record.Computer
	Supplies map[string]*record.Supply // by URL; nil: there are none
	// the instances of its partitions, in the order of the partitions' names
	Placed []*record.Instance
	others map[string]*record.Instance // by ID, what is on it without one; nil: nothing is
	filter map[string]string           // of those that were asked for by its name alone
	// the last document for its node; nil: it has changed since
	Document atomic.Pointer[Document]
	// the revision at which that became otherwise, or a later one
	changed int64
}

// takesPlace says whether an instance is the one that a partition has.
func takesPlace(n *record.Instance) bool { return !n.Beyond && !n.Shared && n.Partition != "" }

func (c *Computer) search(partition string) (at int, found bool) {
	return slices.BinarySearchFunc(
		c.Placed, partition, func(n *record.Instance, name string) int { return cmp.Compare(n.Partition, name) },
	)
}

// At is what a partition has, or nil.
func (c *Computer) At(partition string) *record.Instance {
	if c == nil {
		return nil
	}
	if at, found := c.search(partition); found {
		return c.Placed[at]
	}
	return nil
}

// put adds an instance. It takes its partition from an instance that had it before.
func (c *Computer) put(n *record.Instance) {
	if !takesPlace(n) {
		if c.others == nil {
			c.others = map[string]*record.Instance{}
		}
		c.others[n.ID] = n
		return
	}
	if at, found := c.search(n.Partition); found {
		c.Placed[at] = n
	} else {
		c.Placed = slices.Insert(c.Placed, at, n)
	}
}

// drop forgets an instance, and leaves its place to another that has it by now.
func (c *Computer) drop(n *record.Instance) {
	if !takesPlace(n) {
		delete(c.others, n.ID)
	} else if at, found := c.search(n.Partition); found && c.Placed[at].ID == n.ID {
		c.Placed = slices.Delete(c.Placed, at, at+1)
	}
}

// empty says that nothing is known of it.
func (c *Computer) empty() bool {
	return c.Record == nil && len(c.Supplies) == 0 && len(c.Placed) == 0 && len(c.others) == 0
}

// all are its instances, in no order.
func (c *Computer) all() iter.Seq[*record.Instance] {
	return func(yield func(*record.Instance) bool) {
		for _, n := range c.Placed {
			if !yield(n) {
				return
			}
		}
		maps.Values(c.others)(yield)
	}
}

// releaseComputers are the computers on which something runs, in the order of their names, and
// how many instances of it each has.
type releaseComputers struct {
	GUIDs []string
	count map[string]int
}

func (r *releaseComputers) add(guid string) {
	if r.count[guid]++; r.count[guid] == 1 {
		at, _ := slices.BinarySearch(r.GUIDs, guid)
		r.GUIDs = slices.Insert(r.GUIDs, at, guid)
	}
}

func (r *releaseComputers) drop(guid string) {
	if r.count[guid]--; r.count[guid] == 0 {
		delete(r.count, guid)
		at, _ := slices.BinarySearch(r.GUIDs, guid)
		r.GUIDs = slices.Delete(r.GUIDs, at, at+1)
	}
}

// UnknownComputer is an unknown computer.
func (m *Memory) UnknownComputer() *Computer { return &Computer{} }
