package ledger

import (
	"github.com/hostler-project/hostler/slapos/slap"
)

// rootKey is that of the entry that has the root of local releases.
const rootKey = "root of local releases"

// RootEntry is the root of local releases as it is stored.
func RootEntry(root string) slap.Entry {
	return slap.Entry{Kind: slap.KindOther, Key: rootKey, Data: Pack(&slap.RootRecord{Path: root})}
}

// Root is the directory of local releases that was said last; "": none was.
func (p *TxView) Root() (string, error) {
	e, ok, err := p.Entry(slap.KindOther, rootKey)
	if !ok {
		return "", err
	}
	r, err := Unpack[slap.RootRecord](e)
	if err != nil {
		return "", err
	}
	return r.Path, nil
}
