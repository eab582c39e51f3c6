package auth

import (
	"encoding/json"
	"slices"

	"github.com/hostler-project/hostler/store"
)

// tokenFrom reads a stored token.
func tokenFrom(row *store.Token) (*Token, error) {
	t := &Token{}
	err := json.Unmarshal(row.Data, t)
	t.Hash, t.Used, t.From = Hash(row.Hash), row.Used, row.From
	return t, err
}

// storedTokens returns all tokens, the oldest first.
func storedTokens(tx store.TokenTx) (all []*Token, err error) {
	rows, err := tx.Tokens()
	for _, row := range rows {
		t, e := tokenFrom(row)
		if e != nil {
			return nil, e
		}
		all = append(all, t)
	}
	slices.SortStableFunc(all, func(a, b *Token) int { return a.Created.Compare(b.Created) })
	return all, err
}

// saveToken stores a token, in place of the one of its ID.
func saveToken(tx store.TokenTx, t *Token) error {
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return tx.SaveToken(&store.Token{ID: t.ID, Hash: store.TokenHash(t.Hash), Used: t.Used, From: t.From, Data: data})
}
