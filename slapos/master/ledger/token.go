package ledger

import (
	"slices"

	"github.com/hostler-project/hostler/slapos/proto"
)

// HolderOf is by what certificates of somebody are found.
func HolderOf(of, name string) string { return Key("certificate", of, name) }

// TokenEntry is a token as it is stored.
func TokenEntry(t *proto.TokenRecord) proto.Entry {
	return proto.Entry{Kind: proto.KindOther, Key: Key("token", t.Hash), Host: HolderOf("token", t.User), Data: Pack(t)}
}

func (m *Memory) Token(hash string) (*proto.TokenRecord, error) { return m.tokens[hash], nil }

func (m *Memory) applyToken(e proto.Entry) error {
	prefix, hash := CutKey(e.Key)
	if prefix != "token" {
		return nil
	}
	delete(m.tokens, hash)
	if e.Data == nil {
		return nil
	}
	t, err := Unpack[proto.TokenRecord](e)
	m.tokens[hash] = t
	return err
}

func (p *TxView) Token(hash string) (*proto.TokenRecord, error) {
	e, ok, err := p.Entry(proto.KindOther, Key("token", hash))
	if !ok {
		return nil, err
	}
	return Unpack[proto.TokenRecord](e)
}

func (m *Memory) TokensOf(user string) (all []*proto.TokenRecord, err error) {
	for _, t := range m.tokens { // there are few
		if t.User == user {
			all = append(all, t)
		}
	}
	return inTime(all), nil
}

// inTime puts tokens in order, that which ends first first.
func inTime(all []*proto.TokenRecord) []*proto.TokenRecord {
	slices.SortFunc(all, func(a, b *proto.TokenRecord) int { return a.Until.Compare(b.Until) })
	return all
}

func (p *TxView) TokensOf(user string) ([]*proto.TokenRecord, error) {
	entries, err := p.Tx.SlapEntries(proto.EntryQuery{Kind: proto.KindOther, Host: HolderOf("token", user)})
	if err != nil {
		return nil, err
	}
	all := make([]*proto.TokenRecord, len(entries))
	for i, e := range entries {
		if all[i], err = Unpack[proto.TokenRecord](e); err != nil {
			return nil, err
		}
	}
	return inTime(all), nil
}
