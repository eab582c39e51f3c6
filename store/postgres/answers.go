package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

// Answer returns the recorded answer to a request.
func (t *tx) Answer(owner, key string) (*store.Answer, error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	a := store.Answer{Owner: owner, Key: key}
	found := false
	err := t.ask(query{"SELECT digest, time, status, type, body FROM answers WHERE owner = $1 AND key = $2",
		[]any{encode(owner), encode(key)},
		func(rows pgx.Rows) error {
			for found = false; rows.Next(); found = true {
				var at int64
				if err := rows.Scan(&a.Digest, &at, &a.Status, &a.Type, &a.Body); err != nil {
					return err
				}
				a.Digest, a.Type, a.Time = decode(a.Digest), decode(a.Type), record.Time(at)
			}
			return rows.Err()
		}})
	t.told = t.told || found
	if err == nil && !found {
		err = errNoRow
	}
	return &a, absent(err, key)
}

// SaveAnswer adds an answer, in place of an older one with its key.
func (t *tx) SaveAnswer(a *store.Answer) error {
	if err := t.writing(); err != nil {
		return err
	}
	t.answers = append(t.answers, *a)
	return nil
}

// flushAnswers writes them, in the order in which they came: of two with one key the later one
// stays.
func (t *tx) flushAnswers() (qs []query) {
	for _, a := range t.answers {
		qs = append(qs, query{text: `INSERT INTO answers (owner, key, digest, time, status, type, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
 ON CONFLICT (owner, key) DO UPDATE SET digest = excluded.digest, time = excluded.time, status = excluded.status, type = excluded.type, body = excluded.body`,
			args: []any{encode(a.Owner), encode(a.Key), encode(a.Digest), record.Nanos(a.Time), a.Status, encode(a.Type), a.Body}})
	}
	t.answers = nil
	return qs
}

// DropAnswers forgets those older than a time.
func (t *tx) DropAnswers(before time.Time) error {
	if err := t.writing(); err != nil {
		return err
	}
	return t.ask(query{text: "DELETE FROM answers WHERE time < $1", args: []any{record.Nanos(before)}})
}
