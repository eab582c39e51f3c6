package ledger

import (
	"cmp"
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// The parts of a document that are reserved, in bytes.
const (
	// of all that instances have on a computer; the rest of the document is for its addresses and
	// releases
	MaxTold   = 12 << 20
	maxShare  = 16 << 10 // that is kept for a partition
	allShares = 4 << 20  // that is kept for all partitions of a computer
)

// EncodedSize is how many bytes a text has in a document, or a few more; document: it is one of
// parameters itself, in which markup is escaped once already.
func EncodedSize(text string, document bool) (n int) {
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

// EncodedSizeBound is EncodedSize without a look at the text: it is no less.
func EncodedSizeBound(text string, document bool) int {
	if document {
		return 4 * len(text)
	}
	return len("&amp;amp;") * len(text)
}

// DocumentSize is what an instance has in the document of its computer, by one of the two above;
// root is the title of its tree.
func DocumentSize(n *record.Instance, root string, by func(text string, document bool) int) int {
	all := by(n.Parameters, true) + by(n.Type, false)
	if n.Shared {
		return all + 2*(by(root, false)+by(n.Title, false)) + 256 // with the names of what it has
	}
	return all + by(n.Connection, true) + 3*by(n.Release, false) + by(n.Title, false) + by(root, false) + 2048
}

// shareOf is the reserve of each partition of a computer.
func shareOf(partitions int) int { return min(maxShare, allShares/max(partitions, 1)) }

// weight is the size of all on a computer in its document, with the reserves of partitions that
// have less. over has changes that are not in the memory yet, by ID; nil: the instance is gone.
func (m *Memory) weight(guid string, partitions int, over map[string]*record.Instance, by func(text string, document bool) int) int {
	share := shareOf(partitions)
	sum, free := 0, partitions
	put := func(n *record.Instance) {
		root, changed := over[n.Root]
		if !changed {
			root = m.ByID[n.Root]
		}
		title := ""
		if root != nil {
			title = root.Title
		}
		switch {
		case n.Partition != "":
			sum += max(share, DocumentSize(n, title, by))
			free--
		case n.Host != "":
			sum += DocumentSize(n, title, by)
		}
	}
	if c := m.Computers[guid]; c != nil {
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

// DocumentRoom is how much more the node of a computer can be told, as a transaction has it;
// below 0: it is too much. The memory, which is asked first, lets all pass.
func (m *Ledger) DocumentRoom(b View, guid string) (int, error) {
	p, writing := b.(*TxView)
	if !writing {
		return MaxTold, nil
	}
	c, err := p.Computer(guid)
	if err := cmp.Or(err, p.advance()); err != nil {
		return 0, err
	}
	partitions := 0
	if c != nil {
		partitions = len(c.Partitions)
	}
	for range 4 { // the memory comes as far as the store, which stands still
		m.cache.mu.RLock()
		revision := m.cache.memory.revision
		m.cache.mu.RUnlock()
		over := map[string]*record.Instance{}
		err := p.Tx.SlapChanges(revision, func(e store.SlapEntry) (err error) {
			if e.Kind != record.KindInstance {
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
		if left, ok := m.documentRoomAt(revision, guid, partitions, over); ok {
			return left, nil
		}
	}
	return 0, errBehind
}

// documentRoomAt is DocumentRoom, if the memory is of that revision.
func (m *Ledger) documentRoomAt(revision int64, guid string, partitions int, over map[string]*record.Instance) (left int, ok bool) {
	m.cache.mu.RLock()
	defer m.cache.mu.RUnlock()
	mem := m.cache.memory
	if mem.revision != revision || revision < 0 {
		return 0, false
	}
	if left = MaxTold - mem.weight(guid, partitions, over, EncodedSizeBound); left < MaxTold/4 {
		left = MaxTold - mem.weight(guid, partitions, over, EncodedSize)
	}
	return left, true
}

// ReservedSize is the reserve of a partition of a computer, by the memory.
func (m *Ledger) ReservedSize(guid string) int {
	m.cache.mu.RLock()
	defer m.cache.mu.RUnlock()
	if c := m.cache.memory.Computers[guid]; c != nil && c.Record != nil {
		return shareOf(len(c.Record.Partitions))
	}
	return 0
}
