package ledger

import (
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// rootKey is that of the entry that has the root of local releases.
const rootKey = "root of local releases"

// RootEntry is the root of local releases as it is stored.
func RootEntry(root string) store.SlapEntry {
	return store.SlapEntry{Kind: record.KindOther, Key: rootKey, Data: Pack(&record.Root{Path: root})}
}

// Root is the directory of local releases that was said last; "": none was.
func (p *TxView) Root() (string, error) {
	e, ok, err := p.Entry(record.KindOther, rootKey)
	if !ok {
		return "", err
	}
	r, err := Unpack[record.Root](e)
	if err != nil {
		return "", err
	}
	return r.Path, nil
}
