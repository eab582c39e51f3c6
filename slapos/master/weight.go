package master

import (
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// A node is told of its computer in one document, of slap.MaxSize at most, and a computer of which
// more is to be told would be cut off. So what users may put there is bounded: what one instance
// has, and what all of a computer have together. Each partition has a share of that which none
// takes from it, so that what is small finds its place whatever others have.
const (
	// bytes of an instance's parameters, or its connection parameters, as nodes are told them
	maxWritten = 256 << 10
	// of all that instances have on a computer; the rest of the document is for its addresses and
	// releases
	maxTold   = 12 << 20
	maxShare  = 16 << 10 // that is kept for a partition
	allShares = 4 << 20  // that is kept for all partitions of a computer
	maxFilter = 16 << 10 // bytes of a filter, which no node is told
	maxUsage  = 1 << 20  // bytes of a usage report
)

// spelled is how many bytes a text has in a document, or a few more; document: it is one of
// parameters itself, in which markup is escaped once already.
func spelled(text string, document bool) (n int) {
	amp, angle := len("&amp;amp;"), len("&amp;lt;")
	if document {
		amp, angle = len("&amp;"), 1
		n = len(text) / 16 // <string> twice is longer than <parameter>
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '&':
			n += amp
		case c == '<' || c == '>':
			n += angle
		case c < 0x80:
			n++
		case c >= 0xf0:
			n += len("&#1114111;")
		case c >= 0xe0:
			n += len("&#65535;")
		case c >= 0xc0:
			n += len("&#2047;")
		}
	}
	return n
}

// roughly is spelled without a look at the text: it is no less.
func roughly(text string, document bool) int {
	if document {
		return 4 * len(text)
	}
	return len("&amp;amp;") * len(text)
}

// weigh is what an instance has in the document of its computer, by one of the two above; root is
// the title of its tree.
func weigh(n *slap.InstanceRecord, root string, by func(text string, document bool) int) int {
	all := by(n.Parameters, true) + by(n.Type, false)
	if n.Shared {
		return all + 2*(by(root, false)+by(n.Title, false)) + 256 // with the names of what it has
	}
	return all + by(n.Connection, true) + 3*by(n.Release, false) + by(n.Title, false) + by(root, false) + 2048
}

// shareOf is what is kept for each partition of a computer.
func shareOf(partitions int) int { return min(maxShare, allShares/max(partitions, 1)) }

// short refuses parameters that are too long.
func short(what, document string) error {
	if roughly(document, true) <= maxWritten {
		return nil
	}
	if n := spelled(document, true); n > maxWritten {
		return Invalid("the %s are %d bytes as nodes are told them, and may be %d", what, n, maxWritten)
	}
	return nil
}

func shortFilter(filter map[string]string) error {
	n := 0
	for k, v := range filter {
		n += len(k) + len(v)
	}
	if n > maxFilter {
		return Invalid("the filter is %d bytes, and may be %d", n, maxFilter)
	}
	return nil
}

// weight is what all on a computer have in its document, and what is kept for partitions that have
// less. over has what is not in the memory yet, by ID; nil: it is gone.
func (m *memory) weight(guid string, partitions int, over map[string]*slap.InstanceRecord, by func(text string, document bool) int) int {
	share := shareOf(partitions)
	sum, free := 0, partitions
	put := func(n *slap.InstanceRecord) {
		root, changed := over[n.Root]
		if !changed {
			root = m.byID[n.Root]
		}
		title := ""
		if root != nil {
			title = root.Title
		}
		switch {
		case n.Partition != "":
			sum += max(share, weigh(n, title, by))
			free--
		case n.Host != "":
			sum += weigh(n, title, by)
		}
	}
	if c := m.computers[guid]; c != nil {
		for n := range c.all() {
			if _, changed := over[n.ID]; !changed {
				put(n)
			}
		}
	}
	for _, n := range over {
		if n != nil && n.Computer == guid {
			put(n)
		}
	}
	return sum + max(0, free)*share
}

// left is how much more the node of a computer can be told, as a transaction has it; below 0: it is
// too much. The memory, which is asked first, lets all pass.
func (m *ledger) left(b book, guid string) (int, error) {
	p, writing := b.(*pages)
	if !writing {
		return maxTold, nil
	}
	c, err := p.computer(guid)
	if err := firstOf(err, p.advance()); err != nil {
		return 0, err
	}
	partitions := 0
	if c != nil {
		partitions = len(c.Partitions)
	}
	for range 4 { // the memory comes as far as the store, which stands still
		m.known.mu.RLock()
		revision := m.known.memory.revision
		m.known.mu.RUnlock()
		over := map[string]*slap.InstanceRecord{}
		err := p.tx.SlapChanges(revision, func(e slap.Entry) (err error) {
			if e.Kind != slap.KindInstance {
				return nil
			}
			if over[e.Key] = nil; e.Data != nil {
				over[e.Key], err = instanceOf(e)
			}
			return err
		})
		if errors.Is(err, compute.ErrStale) {
			return 0, errBehind
		} else if err != nil {
			return 0, err
		}
		if left, ok := m.leftOver(revision, guid, partitions, over); ok {
			return left, nil
		}
	}
	return 0, errBehind
}

// leftOver is left, if the memory is of that revision.
func (m *ledger) leftOver(revision int64, guid string, partitions int, over map[string]*slap.InstanceRecord) (left int, ok bool) {
	m.known.mu.RLock()
	defer m.known.mu.RUnlock()
	mem := m.known.memory
	if mem.revision != revision || revision < 0 {
		return 0, false
	}
	if left = maxTold - mem.weight(guid, partitions, over, roughly); left < maxTold/4 {
		left = maxTold - mem.weight(guid, partitions, over, spelled)
	}
	return left, true
}

// tellable refuses what has an instance be more than before, where its computer could not be told
// of it. It is asked when that is saved.
func (m *ledger) tellable(b book, was, n *slap.InstanceRecord) error {
	if _, writing := b.(*pages); !writing || !placed(n) {
		return nil
	}
	weight := weigh(n, "", spelled)
	if was != nil && placed(was) && was.Computer == n.Computer && weight <= weigh(was, "", spelled) {
		return nil
	}
	if !n.Shared && weight+MaxTitle*len("&#1114111;") <= m.shareOn(n.Computer) {
		return nil
	}
	return m.tellableOn(b, n.Computer)
}

func (m *ledger) tellableOn(b book, guid string) error {
	left, err := m.left(b, guid)
	if err == nil && left < 0 {
		err = Refuse(
			compute.ErrConflict,
			"Too much would be on %s to be told to its node: with this, and with what is kept for its other partitions, "+
				"%d bytes, and %d is the most. Ask with fewer parameters, or elsewhere.",
			guid, maxTold-left, maxTold,
		)
	}
	return err
}

// shareOn is what is kept for a partition of a computer, as the memory knows it.
func (m *ledger) shareOn(guid string) int {
	m.known.mu.RLock()
	defer m.known.mu.RUnlock()
	if c := m.known.memory.computers[guid]; c != nil && c.record != nil {
		return shareOf(len(c.record.Partitions))
	}
	return 0
}

// tells says whether a computer's node can be told of a new instance in one of its free partitions
// too.
func (m *ledger) tells(b book, guid string, n *slap.InstanceRecord) (bool, error) {
	if _, writing := b.(*pages); !writing {
		return true, nil
	}
	share, weight := m.shareOn(guid), weigh(n, "", spelled)+MaxTitle*len("&#1114111;")
	if weight <= share {
		return true, nil
	}
	left, err := m.left(b, guid)
	return weight-share <= left, err
}

// A room is how much more computers can be told, as instances come to them one after the other.
type room map[string]int

// takes says whether a computer can be told of a shared instance too, and counts it.
func (r room) takes(m *ledger, b book, guid string, n *slap.InstanceRecord) (bool, error) {
	left, known := r[guid]
	if !known {
		var err error
		if left, err = m.left(b, guid); err != nil {
			return false, err
		}
	}
	root, err := b.instance(n.Root)
	if err != nil {
		return false, err
	}
	title := ""
	if root != nil {
		title = root.Title
	}
	weight := weigh(n, title, spelled)
	if weight > left {
		r[guid] = left
		return false, nil
	}
	r[guid] = left - weight
	return true, nil
}
