package sqlite

import (
	"time"

	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

var _ store.AnswerTx = (*tx)(nil)

// Answer returns the recorded answer to a request.
func (t *tx) Answer(owner, key string) (*store.Answer, error) {
	a := store.Answer{Owner: owner, Key: key}
	var at int64
	err := t.row(
		"SELECT digest, time, status, type, body FROM answers WHERE owner = ? AND key = ?", owner, key,
	).Scan(&a.Digest, &at, &a.Status, &a.Type, &a.Body)
	a.Time = record.Time(at)
	return &a, t.read(err, key)
}

// SaveAnswer adds an answer, in place of an older one with its key.
func (t *tx) SaveAnswer(a *store.Answer) error {
	_, err := t.write("INSERT OR REPLACE INTO answers (owner, key, digest, time, status, type, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
		a.Owner, a.Key, a.Digest, record.Nanos(a.Time), a.Status, a.Type, a.Body)
	return err
}

// DropAnswers forgets those older than a time.
func (t *tx) DropAnswers(before time.Time) error {
	_, err := t.write("DELETE FROM answers WHERE time < ?", record.Nanos(before))
	return err
}
