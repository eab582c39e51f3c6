package ledger

import (
	"slices"

	"github.com/hostler-project/hostler/slapos/slap"
)

// HolderOf is by what certificates of somebody are found.
func HolderOf(of, name string) string { return Key("certificate", of, name) }

// TokenEntry is a token as it is stored.
func TokenEntry(t *slap.TokenRecord) slap.Entry {
	return slap.Entry{Kind: slap.KindOther, Key: Key("token", t.Hash), Host: HolderOf("token", t.User), Data: Pack(t)}
}

func (m *Memory) Token(hash string) (*slap.TokenRecord, error) { return m.tokens[hash], nil }

func (m *Memory) applyToken(e slap.Entry) error {
	prefix, hash := CutKey(e.Key)
	if prefix != "token" {
		return nil
	}
	delete(m.tokens, hash)
	if e.Data == nil {
		return nil
	}
	t, err := Unpack[slap.TokenRecord](e)
	m.tokens[hash] = t
	return err
}

func (p *TxView) Token(hash string) (*slap.TokenRecord, error) {
	e, ok, err := p.Entry(slap.KindOther, Key("token", hash))
	if !ok {
		return nil, err
	}
	return Unpack[slap.TokenRecord](e)
}

func (m *Memory) TokensOf(user string) (all []*slap.TokenRecord, err error) {
	for _, t := range m.tokens { // there are few
		if t.User == user {
			all = append(all, t)
		}
	}
	return inTime(all), nil
}

// inTime puts tokens in order, that which ends first first.
func inTime(all []*slap.TokenRecord) []*slap.TokenRecord {
	slices.SortFunc(all, func(a, b *slap.TokenRecord) int { return a.Until.Compare(b.Until) })
	return all
}

func (p *TxView) TokensOf(user string) ([]*slap.TokenRecord, error) {
	entries, err := p.Tx.SlapEntries(slap.EntryQuery{Kind: slap.KindOther, Host: HolderOf("token", user)})
	if err != nil {
		return nil, err
	}
	all := make([]*slap.TokenRecord, len(entries))
	for i, e := range entries {
		if all[i], err = Unpack[slap.TokenRecord](e); err != nil {
			return nil, err
		}
	}
	return inTime(all), nil
}
