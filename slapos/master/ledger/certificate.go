package ledger

import (
	"maps"
	"slices"

	"github.com/hostler-project/hostler/slapos/proto"
)

// CertificateEntry is a certificate as it is stored.
func CertificateEntry(c *proto.CertificateRecord) proto.Entry {
	return proto.Entry{Kind: proto.KindOther, Key: Key("certificate", c.Serial), Host: HolderOf(c.Of, c.Name), Data: Pack(c)}
}

// sorted puts certificates in order, the one that is good longest last.
func sorted(all []*proto.CertificateRecord) []*proto.CertificateRecord {
	slices.SortFunc(all, func(a, b *proto.CertificateRecord) int { return a.Until.Compare(b.Until) })
	return all
}

func (m *Memory) Certificates(holder string) (all []*proto.CertificateRecord, err error) {
	for serial := range maps.Keys(m.holders[holder]) {
		all = append(all, m.BySerial[serial])
	}
	return sorted(all), nil
}

func (m *Memory) applyCertificate(e proto.Entry) error {
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
	c, err := Unpack[proto.CertificateRecord](e)
	if err != nil {
		return err
	}
	m.BySerial[serial] = c
	add(m.holders, HolderOf(c.Of, c.Name), serial)
	return nil
}

func (p *TxView) Certificates(holder string) ([]*proto.CertificateRecord, error) {
	entries, err := p.Tx.SlapEntries(proto.EntryQuery{Kind: proto.KindOther, Host: holder})
	if err != nil {
		return nil, err
	}
	all := make([]*proto.CertificateRecord, len(entries))
	for i, e := range entries {
		if all[i], err = Unpack[proto.CertificateRecord](e); err != nil {
			return nil, err
		}
	}
	return sorted(all), nil
}
