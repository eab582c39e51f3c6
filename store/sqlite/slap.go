package sqlite

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// slapKept is for how many revisions it is remembered that a record is gone.
const slapKept = 1 << 16

const slapColumns = "kind, key, revision, name, place, tree, host, computer, data"

func scanSlap(s scanner) (e store.SlapEntry, err error) {
	return e, s.Scan((*string)(&e.Kind), &e.Key, &e.Revision, &e.Name, &e.Place, &e.Tree, &e.Host, &e.Computer, &e.Data)
}

// SlapRevision is that of the newest change.
func (t *tx) SlapRevision() (n int64, err error) {
	return n, t.row("SELECT revision FROM slap_turn").Scan(&n)
}

// SlapAdvance begins the next revision.
func (t *tx) SlapAdvance() (int64, error) {
	if _, err := t.write("UPDATE slap_turn SET revision = revision + 1"); err != nil {
		return 0, err
	}
	n, err := t.SlapRevision()
	if err != nil || n%256 != 0 || n <= slapKept {
		return n, err
	}
	if _, err := t.write("DELETE FROM slap_records WHERE revision > 0 AND revision <= ? AND data IS NULL", n-slapKept); err != nil {
		return 0, err
	}
	_, err = t.write("UPDATE slap_turn SET forgotten = ?", n-slapKept)
	return n, err
}

// slapSince asks for the changes after a revision. The terms are in this order for the planner,
// which begins at the bound of the first one. The second selects the index; first, it would begin
// with all entries.
const slapSince = "SELECT " + slapColumns + " FROM slap_records WHERE revision > ? AND revision > 0 ORDER BY revision"

// SlapChanges calls each for every change after a revision, the oldest first; after 0 for all
// entries. compute.ErrStale: that is too long ago.
func (t *tx) SlapChanges(after int64, each func(store.SlapEntry) error) error {
	if after <= 0 {
		return visit(
			t, each, scanSlap,
			"SELECT "+slapColumns+" FROM slap_records WHERE revision > 0 AND data IS NOT NULL ORDER BY revision",
		)
	}
	var forgotten int64
	if err := t.row("SELECT forgotten FROM slap_turn").Scan(&forgotten); err != nil {
		return err
	}
	if after < forgotten {
		return &compute.Error{Op: "state", Kind: compute.ErrStale}
	}
	return visit(t, each, scanSlap, slapSince, after)
}

// SlapEntry returns an entry.
func (t *tx) SlapEntry(kind store.SlapKind, key string) (store.SlapEntry, error) {
	e, err := scanSlap(t.row("SELECT "+slapColumns+" FROM slap_records WHERE kind = ? AND key = ? AND data IS NOT NULL", string(kind), key))
	return e, t.read(err, key)
}

// SlapEntries returns those that are asked for.
func (t *tx) SlapEntries(q store.SlapQuery) ([]store.SlapEntry, error) {
	text, args := slapQuery(q)
	return collect(t, scanSlap, text, args...)
}

func slapQuery(q store.SlapQuery) (text string, args []any) {
	var w where
	w.and("data IS NOT NULL")
	if q.Tree != "" || q.Host != "" {
		// by the key of the table the order would come for nothing, at the price of a look at all
		// of the kind
		w.and("+kind = ?", string(q.Kind))
	} else {
		w.and("kind = ?", string(q.Kind))
	}
	for _, c := range []struct{ column, value string }{
		{"name", q.Name}, {"place", q.Place}, {"tree", q.Tree}, {"host", q.Host}, {"computer", q.Computer},
	} {
		if c.value != "" {
			w.and(c.column+" = ? AND "+c.column+" <> ''", c.value) // the second for the index
		}
	}
	if q.Before != "" {
		w.and("key < ?", q.Before)
	}
	order := " ORDER BY key"
	if q.Last {
		order += " DESC"
	}
	return "SELECT " + slapColumns + " FROM slap_records" + w.text + order + limit(q.Limit), w.args
}

// SaveSlap adds an entry or changes it; one without data is gone then.
func (t *tx) SaveSlap(e store.SlapEntry) error {
	if e.Data == nil {
		e.Name, e.Place, e.Tree, e.Host, e.Computer = "", "", "", "", ""
		if e.Revision == 0 {
			_, err := t.write("DELETE FROM slap_records WHERE kind = ? AND key = ?", string(e.Kind), e.Key)
			return err
		}
	}
	var data any
	if e.Data != nil {
		data = e.Data
	}
	_, err := t.write("INSERT INTO slap_records ("+slapColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET revision = excluded.revision, name = excluded.name, place = excluded.place, tree = excluded.tree, host = excluded.host, computer = excluded.computer, data = excluded.data",
		string(e.Kind), e.Key, e.Revision, e.Name, e.Place, e.Tree, e.Host, e.Computer, data)
	return err
}
