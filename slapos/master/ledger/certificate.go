package ledger

import (
	"maps"
	"slices"

	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// CertificateEntry is a certificate as it is stored.
func CertificateEntry(c *record.Certificate) store.SlapEntry {
	return store.SlapEntry{Kind: record.KindOther, Key: Key("certificate", c.Serial), Host: HolderOf(c.Of, c.Name), Data: Pack(c)}
}

// sorted puts certificates in order, the one that is good longest last.
func sorted(all []*record.Certificate) []*record.Certificate {
	slices.SortFunc(all, func(a, b *record.Certificate) int { return a.Until.Compare(b.Until) })
	return all
}

func (m *Memory) Certificates(holder string) (all []*record.Certificate, err error) {
	for serial := range maps.Keys(m.holders[holder]) {
		all = append(all, m.BySerial[serial])
	}
	return sorted(all), nil
}

// applyCertificate takes an entry in; one without data removes the certificate. Keys of another
// prefix are passed over.
func (m *Memory) applyCertificate(e store.SlapEntry) error {
	prefix, serial := CutKey(e.Key)
	if prefix != "certificate" {
		return nil
	}
	if old := m.BySerial[serial]; old != nil {
		drop(m.holders, HolderOf(old.Of, old.Name), serial)
		delete(m.BySerial, serial)
	}
	if e.Data == nil {
		return nil
	}
	c, err := Unpack[record.Certificate](e)
	if err != nil {
		return err
	}
	m.BySerial[serial] = c
	add(m.holders, HolderOf(c.Of, c.Name), serial)
	return nil
}

func (p *TxView) Certificates(holder string) ([]*record.Certificate, error) {
	entries, err := p.Tx.SlapEntries(store.SlapQuery{Kind: record.KindOther, Host: holder})
	if err != nil {
		return nil, err
	}
	all := make([]*record.Certificate, len(entries))
	for i, e := range entries {
		if all[i], err = Unpack[record.Certificate](e); err != nil {
			return nil, err
		}
	}
	return sorted(all), nil
}
