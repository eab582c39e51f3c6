package master

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/record"
)

// place finds a partition for a new instance, and takes it. If there is none, it keeps the reason.
func (a *requestState) place(b ledger.View) error {
	if a.needsTransaction(b) {
		return ledger.ErrWrites
	}
	n := a.newInstance()
	if why, err := a.m.allocation.within(b, n); err != nil {
		return err
	} else if why != "" {
		a.result = a.noPartition(why)
		return a.keepWaiting(b, n, why)
	}
	candidates, why := a.m.allocation.candidates(b, n)
	for i, guid := range candidates {
		slot, reason, err := a.m.allocation.freeSlot(b, guid, n)
		if err != nil {
			return err
		}
		if slot == "" {
			why = join(why, reason)
			continue
		}
		if last := i == len(candidates)-1; !last { // with the last one it is refused, and said why
			if ok, err := a.m.allocation.documentFits(b, guid, n); err != nil {
				return err
			} else if !ok {
				continue
			}
		}
		n.Computer, n.Partition = guid, slot
		n.Stamp = a.m.ledger.Stamp(n.Stamp)
		n.Placed = n.Stamp
		a.result = result{kind: placed, made: n}
		if err := ledger.SaveInstance(b, n); err != nil {
			return err
		}
		if a.found != nil { // its own requests may be there, where it had a place before
			if err := a.m.trees.propagateState(b, n); err != nil {
				return err
			}
		}
		return a.m.trees.assignWaiting(b, n)
	}
	a.result = a.noPartition(why)
	return a.keepWaiting(b, n, why)
}

// noPartition is the refusal of an instance that finds no free partition.
func (a *requestState) noPartition(why string) result {
	text := "No free computer partition found for: " + a.Title
	return result{kind: refused, refusal: &access.Refusal{Kind: compute.ErrNoCapacity, Text: text, Detail: why}}
}

// needsTransaction says that the memory need not be searched for a place or a host, as what
// comes of it is written in any case: the instance is new.
func (a *requestState) needsTransaction(b ledger.View) bool {
	_, reading := b.(*ledger.Memory)
	return reading && a.found == nil
}

// keepWaiting keeps an instance without a place, with the reason.
func (a *requestState) keepWaiting(b ledger.View, n *record.Instance, why string) error {
	n.Reason = why
	if was := a.found; was != nil && same(n, was) {
		return nil
	}
	if a.found == nil && a.m.allocation.tooManyWait(b, n) {
		return nil
	}
	return ledger.SaveInstance(b, n)
}

func same(a, b *record.Instance) bool {
	return a.Release == b.Release && a.Type == b.Type && a.Asked == b.Asked && a.State == b.State &&
		a.Parameters == b.Parameters && sameFilter(a.Filter, b.Filter) &&
		a.Computer == b.Computer && a.Reason == b.Reason
}

// maxWaiting is how many instances of a user may wait for a place or a host. More are not kept: the
// request only gets the reason.
const maxWaiting = 1000

// tooManyWait says whether a user has too many waiting instances, by the memory. A few more, from
// requests at the same time, do no harm.
func (m *allocation) tooManyWait(b ledger.View, n *record.Instance) bool {
	if _, ok := b.(*ledger.Memory); ok { // it will be asked again
		return false
	}
	mem, done := m.ledger.RLock()
	defer done()
	return mem.Used[n.Project][n.Owner].Waiting >= maxWaiting
}

// maxReason is the size of an instance's reasons, in bytes: each of many computers has its own.
const maxReason = 300

// join adds a reason to why, or leaves it out if the text would exceed maxReason.
func join(why, reason string) string {
	switch {
	case why == "":
		return reason
	case len(why)+len(reason) > maxReason:
		return why
	}
	return why + "; " + reason
}

// freeSlot is the first slot of a computer that nothing has, or why an instance can have none.
func (m *allocation) freeSlot(b ledger.View, guid string, n *record.Instance) (slot, why string, err error) {
	c, err := b.Computer(guid)
	switch {
	case err != nil:
		return "", "", err
	case c == nil:
		return "", "there is no computer " + guid, nil
	case !sameProject(c, n):
		return "", guid + " is of another project", nil
	case !m.open(c, n):
		return "", guid + " is another user's", nil
	case len(c.Partitions) == 0:
		return "", guid + " has no partitions", nil
	}
	if slot, err := m.likelySlot(b, c); slot != "" || err != nil {
		return slot, "", err
	}
	on, err := b.Instances("", "", guid)
	if err != nil {
		return "", "", err
	}
	taken := make(map[string]bool, len(on))
	for _, n := range on {
		if !n.Shared {
			taken[n.Partition] = true
		}
	}
	for i := range c.Partitions {
		if !taken[c.Partitions[i].ID] {
			return c.Partitions[i].ID, "", nil
		}
	}
	return "", fmt.Sprintf("all %d partitions of %s are in use", len(c.Partitions), guid), nil
}

// likelySlot is a slot that is free by the memory and by a transaction. With "" the caller has to
// look at all on the computer.
func (m *allocation) likelySlot(b ledger.View, c *record.Computer) (string, error) {
	if _, ok := b.(*ledger.TxView); !ok {
		return "", nil
	}
	for i := range c.Partitions {
		slot := c.Partitions[i].ID
		free := false
		err := m.ledger.Read(func(mem ledger.View) error { n, err := mem.At(c.GUID, slot); free = n == nil; return err })
		if err != nil || !free {
			continue
		}
		n, err := b.At(c.GUID, slot)
		if err != nil || n == nil {
			return slot, err
		}
		break // the memory is behind
	}
	return "", nil
}

// candidates are the computers that an instance may be on, the best first, and why others are none.
// The best has the largest part of its partitions free.
func (m *allocation) candidates(b ledger.View, n *record.Instance) (guids []string, why string) {
	if guid := cmp.Or(n.Filter["computer_guid"], m.opt.Computer); guid != "" {
		return []string{guid}, ""
	}
	// its lock is held already, and taking it twice would deadlock with a waiting writer
	if mem, ok := b.(*ledger.Memory); ok {
		return m.candidatesIn(mem, n)
	}
	mem, done := m.ledger.RLock()
	defer done()
	return m.candidatesIn(mem, n)
}

// sameProject says whether what belongs to an instance's project may be on a computer: on those of
// the project, and on those of none.
func sameProject(c *record.Computer, n *record.Instance) bool {
	return c.Project == "" || n.Project == "" || c.Project == n.Project
}

// open says whether an instance may be on a computer. A user's own computer takes that user's
// instances alone: its owner sees all on it, and has not offered it to others. The master's default
// is for everybody, and an administrator may name any.
func (m *allocation) open(c *record.Computer, n *record.Instance) bool {
	return sameProject(c, n) &&
		(c.Owner == "" || c.Owner == n.Owner || c.GUID == m.opt.Computer || n.Owner == "" && n.Filter["computer_guid"] == c.GUID)
}

// candidatesIn returns the maxTries computers with the largest share of free partitions that n
// may go to. If none fits, why counts the causes.
func (m *allocation) candidatesIn(mem *ledger.Memory, n *record.Instance) (guids []string, why string) {
	type option struct {
		guid string
		free float64
	}
	better := func(a, b option) int { return cmp.Or(cmp.Compare(b.free, a.free), cmp.Compare(a.guid, b.guid)) }
	var fit []option // the best so far
	var full, others, elsewhere int
	for guid, c := range mem.Computers {
		if c.Record == nil {
			continue
		}
		switch want := n.Filter["project_guid"]; {
		case want != "" && c.Record.Project != want, !m.open(c.Record, n):
			others++
		case n.Filter["network_guid"] != "" && c.Record.Network != n.Filter["network_guid"]:
			elsewhere++
		case len(c.Placed) >= len(c.Record.Partitions):
			full++
		default:
			this := option{guid, 1 - float64(len(c.Placed))/float64(len(c.Record.Partitions))}
			if len(fit) == maxTries && better(this, fit[maxTries-1]) > 0 {
				continue
			}
			at, _ := slices.BinarySearchFunc(fit, this, better)
			fit = slices.Insert(fit, at, this)
			fit = fit[:min(len(fit), maxTries)]
		}
	}
	for _, o := range fit {
		guids = append(guids, o.guid)
	}
	if len(fit) == 0 {
		why = fmt.Sprintf(
			"no computer fits: %d have no free partition, %d are of other projects or users, %d of other networks", full,
			others, elsewhere,
		)
	}
	return guids, why
}

// maxTries is how many computers are tried. The memory is right about them but for changes of a
// moment ago.
const maxTries = 16
