package master

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/record"
)

// A node is told of its computer in one document, of proto.MaxSize at most; a larger one would cut
// the computer off. So user data in it is bounded, for one instance and for all of a computer
// together. Each partition has a reserved share, so a small instance always fits, whatever others
// have.
const (
	// bytes of an instance's parameters, or its connection parameters, in a node's document
	maxWritten = 256 << 10
	maxFilter  = 16 << 10 // bytes of a filter, which no node is told
)

// checkLength refuses parameters that are too long.
func checkLength(what, document string) error {
	if ledger.EncodedSizeBound(document, true) <= maxWritten {
		return nil
	}
	if n := ledger.EncodedSize(document, true); n > maxWritten {
		return access.Invalid("the %s are %d bytes as nodes are told them, and may be %d", what, n, maxWritten)
	}
	return nil
}

// checkFilterLength refuses a filter whose names and values exceed maxFilter bytes.
func checkFilterLength(filter map[string]string) error {
	n := 0
	for k, v := range filter {
		n += len(k) + len(v)
	}
	if n > maxFilter {
		return access.Invalid("the filter is %d bytes, and may be %d", n, maxFilter)
	}
	return nil
}

// checkDocument refuses a larger instance if its computer's document cannot hold it. It is
// called when the instance is saved.
func (m *allocation) checkDocument(b ledger.View, was, n *record.Instance) error {
	if _, writing := b.(*ledger.TxView); !writing || !ledger.Placed(n) {
		return nil
	}
	weight := ledger.DocumentSize(n, "", ledger.EncodedSize)
	if was != nil && ledger.Placed(was) && was.Computer == n.Computer && weight <= ledger.DocumentSize(was, "", ledger.EncodedSize) {
		return nil
	}
	if !n.Shared && weight+access.MaxTitle*len("&#1114111;") <= m.ledger.ReservedSize(n.Computer) {
		return nil
	}
	return m.checkDocumentOf(b, n.Computer)
}

// checkDocumentOf refuses a change that makes the document of a computer larger than its node
// takes.
func (m *allocation) checkDocumentOf(b ledger.View, guid string) error {
	left, err := m.ledger.DocumentRoom(b, guid)
	if err == nil && left < 0 {
		err = access.Refuse(
			compute.ErrConflict,
			"Too much would be on %s to be told to its node: with this, and with what is kept for its other partitions, "+
				"%d bytes, and %d is the most. Ask with fewer parameters, or elsewhere.",
			guid, ledger.MaxTold-left, ledger.MaxTold,
		)
	}
	return err
}

// documentFits says whether a computer's document has room for a new instance in one of its free
// partitions.
func (m *allocation) documentFits(b ledger.View, guid string, n *record.Instance) (bool, error) {
	if _, writing := b.(*ledger.TxView); !writing {
		return true, nil
	}
	share, weight := m.ledger.ReservedSize(guid), ledger.DocumentSize(n, "", ledger.EncodedSize)+access.MaxTitle*len("&#1114111;")
	if weight <= share {
		return true, nil
	}
	left, err := m.ledger.DocumentRoom(b, guid)
	return weight-share <= left, err
}

// A room is how much more computers can be told, as instances come to them one after the other.
type documentRoom map[string]int

// takes says whether a computer can be told of a shared instance too, and counts it.
func (r documentRoom) takes(m *ledger.Ledger, b ledger.View, guid string, n *record.Instance) (bool, error) {
	left, known := r[guid]
	if !known {
		var err error
		if left, err = m.DocumentRoom(b, guid); err != nil {
			return false, err
		}
	}
	root, err := b.Instance(n.Root)
	if err != nil {
		return false, err
	}
	title := ""
	if root != nil {
		title = root.Title
	}
	weight := ledger.DocumentSize(n, title, ledger.EncodedSize)
	if weight > left {
		r[guid] = left
		return false, nil
	}
	r[guid] = left - weight
	return true, nil
}
