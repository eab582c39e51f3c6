package sqlite

import (
	"cmp"
	"math"
	"time"

	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

const tokenColumns = "id, hash, used, used_from, data"

func scanToken(s scanner) (*store.Token, error) {
	var t store.Token
	var hash []byte
	var used int64
	var id, from, data string
	err := s.Scan(&id, &hash, &used, &from, &data)
	copy(t.Hash[:], hash)
	t.ID, t.Used, t.From, t.Data = id, record.Time(used), from, []byte(data)
	return &t, err
}

// Token returns one by its hash.
func (t *tx) Token(hash store.TokenHash) (*store.Token, error) {
	v, err := scanToken(t.row("SELECT "+tokenColumns+" FROM tokens WHERE hash = ?", hash[:]))
	return v, t.read(err, "token")
}

// Tokens returns all, by ID.
func (t *tx) Tokens() ([]*store.Token, error) {
	return collect(t, scanToken, "SELECT "+tokenColumns+" FROM tokens ORDER BY id")
}

// SaveToken adds one, or changes that of its ID.
func (t *tx) SaveToken(v *store.Token) error {
	_, err := t.write("INSERT INTO tokens (id, hash, used, used_from, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO "+
		"UPDATE SET hash = excluded.hash, used = excluded.used, used_from = excluded.used_from, data = excluded.data",
		v.ID, v.Hash[:], record.Nanos(v.Used), v.From, string(v.Data))
	return err
}

// DropToken forgets one.
func (t *tx) DropToken(id string) error { return t.update(id, "DELETE FROM tokens WHERE id = ?", id) }

// SaveAudit adds to the audit log.
func (t *tx) SaveAudit(at time.Time, data []byte) (int64, error) {
	r, err := t.write("INSERT INTO audit (time, data) VALUES (?, ?)", record.Nanos(at), data)
	if err != nil {
		return 0, err
	}
	n, err := r.LastInsertId()
	return n, t.fail(err)
}

// Audit reads the audit log, the newest first.
func (t *tx) Audit(before int64, since time.Time, limit int) ([]store.AuditPage, error) {
	before = cmp.Or(max(0, before), math.MaxInt64)
	return collect(t, func(s scanner) (p store.AuditPage, err error) {
		var at int64
		err = s.Scan(&p.Number, &at, &p.Data)
		p.Time = record.Time(at)
		return p, err
	}, "SELECT number, time, data FROM audit WHERE number < ? AND time >= ? ORDER BY number DESC LIMIT ?",
		before, record.Nanos(since), limit)
}

// DropAudit deletes entries from before a time.
func (t *tx) DropAudit(before time.Time) error {
	_, err := t.write("DELETE FROM audit WHERE time < ?", record.Nanos(before))
	return err
}
