package postgres

import (
	"cmp"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// slapKept is for how many revisions it is remembered that a record is gone.
const slapKept = 1 << 16

const slapColumns = "kind, key, revision, name, place, tree, host, computer, data"

func scanSlap(s scanner) (e store.SlapEntry, err error) {
	err = s.Scan((*string)(&e.Kind), &e.Key, &e.Revision, &e.Name, &e.Place, &e.Tree, &e.Host, &e.Computer, &e.Data)
	for _, text := range []*string{&e.Key, &e.Name, &e.Place, &e.Tree, &e.Host, &e.Computer} {
		*text = decode(*text)
	}
	return e, err
}

func scanNumber(s scanner) (n int64, err error) { return n, s.Scan(&n) }

func first(all []int64, err error) (int64, error) {
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[0], nil
}

// SlapRevision is that of the newest change.
func (t *tx) SlapRevision() (int64, error) {
	return first(ask(t, scanNumber, "SELECT revision FROM slap_turn"))
}

// SlapAdvance begins the next revision.
func (t *tx) SlapAdvance() (int64, error) {
	if err := t.writing(); err != nil {
		return 0, err
	}
	n, err := first(ask(t, scanNumber, "UPDATE slap_turn SET revision = revision + 1 RETURNING revision"))
	if err != nil || n%256 != 0 || n <= slapKept {
		return n, err
	}
	return n, t.ask(query{
		text: "DELETE FROM slap_records WHERE revision > 0 AND revision <= $1 AND data IS NULL",
		args: []any{n - slapKept},
	},
		query{text: "UPDATE slap_turn SET forgotten = $1", args: []any{n - slapKept}})
}

// SlapChanges calls each for every change after a revision, the oldest first; after 0 for all
// entries. compute.ErrStale: that is too long ago.
func (t *tx) SlapChanges(after int64, each func(store.SlapEntry) error) error {
	text, args := "SELECT "+slapColumns+" FROM slap_records WHERE revision > 0 AND data IS NOT NULL ORDER BY revision", []any(nil)
	if after > 0 {
		forgotten, err := first(ask(t, scanNumber, "SELECT forgotten FROM slap_turn"))
		if err != nil {
			return err
		}
		if after < forgotten {
			return &compute.Error{Op: "state", Kind: compute.ErrStale}
		}
		text, args = "SELECT "+slapColumns+" FROM slap_records WHERE revision > $1 AND revision > 0 ORDER BY revision", []any{after}
	}
	var refused error // from the callback: the remaining rows are not read
	err := t.ask(query{text, args, func(rows pgx.Rows) error {
		for rows.Next() {
			e, err := scanSlap(rows)
			if err != nil {
				return err
			}
			if refused == nil {
				refused = each(e)
			}
		}
		return rows.Err()
	}})
	return cmp.Or(err, refused)
}

// SlapEntry returns an entry.
func (t *tx) SlapEntry(kind store.SlapKind, key string) (store.SlapEntry, error) {
	all, err := ask(
		t, scanSlap, "SELECT "+slapColumns+" FROM slap_records WHERE kind = $1 AND key = $2 AND data IS NOT NULL",
		string(kind), encode(key),
	)
	if err == nil && len(all) == 0 {
		err = &compute.Error{ID: compute.ID(key), Kind: compute.ErrNotFound}
	}
	if err != nil {
		return store.SlapEntry{}, err
	}
	return all[0], nil
}

// SlapEntries returns those that are asked for.
func (t *tx) SlapEntries(q store.SlapQuery) ([]store.SlapEntry, error) {
	var w where
	w.and("data IS NOT NULL")
	w.and("kind = ?", string(q.Kind))
	for _, c := range []struct{ column, value string }{
		{"name", q.Name}, {"place", q.Place}, {"tree", q.Tree}, {"host", q.Host}, {"computer", q.Computer},
	} {
		if c.value != "" {
			// the second for the index
			w.and(c.column+" = ? AND "+c.column+" <> ''", encode(c.value))
		}
	}
	if q.Before != "" {
		w.and("key < ?", encode(q.Before))
	}
	order := " ORDER BY key"
	if q.Last {
		order += " DESC"
	}
	return ask(t, scanSlap, "SELECT "+slapColumns+" FROM slap_records"+w.text+order+limit(q.Limit), w.args...)
}

// SaveSlap adds an entry or changes it; one without data is gone then.
func (t *tx) SaveSlap(e store.SlapEntry) error {
	if err := t.writing(); err != nil {
		return err
	}
	if e.Data == nil {
		e.Name, e.Place, e.Tree, e.Host, e.Computer = "", "", "", "", ""
		if e.Revision == 0 {
			return t.ask(query{text: "DELETE FROM slap_records WHERE kind = $1 AND key = $2", args: []any{string(e.Kind), encode(e.Key)}})
		}
	}
	return t.ask(query{text: "INSERT INTO slap_records (" + slapColumns + ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (kind, key) DO UPDATE SET revision = excluded.revision, name = excluded.name, place = excluded.place, tree = excluded.tree, host = excluded.host, computer = excluded.computer, data = excluded.data",
		args: []any{
			string(e.Kind), encode(e.Key), e.Revision, encode(e.Name), encode(e.Place), encode(e.Tree), encode(e.Host),
			encode(e.Computer), e.Data,
		}})
}
