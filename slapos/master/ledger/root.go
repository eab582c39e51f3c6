package ledger

import (
	"github.com/hostler-project/hostler/slapos/proto"
)

// rootKey is that of the entry that has the root of local releases.
const rootKey = "root of local releases"

// RootEntry is the root of local releases as it is stored.
func RootEntry(root string) proto.Entry {
	return proto.Entry{Kind: proto.KindOther, Key: rootKey, Data: Pack(&proto.RootRecord{Path: root})}
}

// Root is the directory of local releases that was said last; "": none was.
func (p *TxView) Root() (string, error) {
	e, ok, err := p.Entry(proto.KindOther, rootKey)
	if !ok {
		return "", err
	}
	r, err := Unpack[proto.RootRecord](e)
	if err != nil {
		return "", err
	}
	return r.Path, nil
}
