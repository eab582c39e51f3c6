package ledger

import (
	"slices"

	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// HolderOf is the key by which certificates of a holder are found.
func HolderOf(of, name string) string { return Key("certificate", of, name) }

// TokenEntry is a token as it is stored.
func TokenEntry(t *record.Token) store.SlapEntry {
	return store.SlapEntry{Kind: record.KindOther, Key: Key("token", t.Hash), Host: HolderOf("token", t.User), Data: Pack(t)}
}

func (m *Memory) Token(hash string) (*record.Token, error) { return m.tokens[hash], nil }

// applyToken takes an entry in; one without data removes the token. Keys of another prefix are
// passed over.
func (m *Memory) applyToken(e store.SlapEntry) error {
	prefix, hash := CutKey(e.Key)
	if prefix != "token" {
		return nil
	}
	delete(m.tokens, hash)
	if e.Data == nil {
		return nil
	}
	t, err := Unpack[record.Token](e)
	m.tokens[hash] = t
	return err
}

func (p *TxView) Token(hash string) (*record.Token, error) {
	e, ok, err := p.Entry(record.KindOther, Key("token", hash))
	if !ok {
		return nil, err
	}
	return Unpack[record.Token](e)
}

func (m *Memory) TokensOf(user string) (all []*record.Token, err error) {
	for _, t := range m.tokens { // there are few
		if t.User == user {
			all = append(all, t)
		}
	}
	return inTime(all), nil
}

// inTime puts tokens in order, that which ends first first.
func inTime(all []*record.Token) []*record.Token {
	slices.SortFunc(all, func(a, b *record.Token) int { return a.Until.Compare(b.Until) })
	return all
}

func (p *TxView) TokensOf(user string) ([]*record.Token, error) {
	entries, err := p.Tx.SlapEntries(store.SlapQuery{Kind: record.KindOther, Host: HolderOf("token", user)})
	if err != nil {
		return nil, err
	}
	all := make([]*record.Token, len(entries))
	for i, e := range entries {
		if all[i], err = Unpack[record.Token](e); err != nil {
			return nil, err
		}
	}
	return inTime(all), nil
}
