package sqlite

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/store/record"
)

var (
	_ auth.TokenTx = (*tx)(nil)
	_ auth.AuditTx = (*tx)(nil)
)

const tokenColumns = "hash, used, used_from, data"

func scanToken(s scanner) (*auth.Token, error) {
	var t auth.Token
	var hash []byte
	var used int64
	var from, data string
	if err := s.Scan(&hash, &used, &from, &data); err != nil {
		return nil, err
	}
	err := json.Unmarshal([]byte(data), &t)
	copy(t.Hash[:], hash)
	t.Used, t.From = record.Time(used), from
	return &t, err
}

// Token returns one by its hash.
func (t *tx) Token(hash auth.Hash) (*auth.Token, error) {
	v, err := scanToken(t.row("SELECT "+tokenColumns+" FROM tokens WHERE hash = ?", hash[:]))
	return v, t.read(err, "token")
}

// Tokens returns all, the oldest first.
func (t *tx) Tokens() ([]*auth.Token, error) {
	all, err := collect(t, scanToken, "SELECT "+tokenColumns+" FROM tokens ORDER BY id")
	slices.SortStableFunc(all, func(a, b *auth.Token) int { return cmp.Compare(a.Created.UnixNano(), b.Created.UnixNano()) })
	return all, err
}

// SaveToken adds one, or changes that of its ID.
func (t *tx) SaveToken(v *auth.Token) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = t.write("INSERT INTO tokens (id, hash, used, used_from, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO "+
		"UPDATE SET hash = excluded.hash, used = excluded.used, used_from = excluded.used_from, data = excluded.data",
		v.ID, v.Hash[:], record.Nanos(v.Used), v.From, string(data))
	return err
}

// DropToken forgets one.
func (t *tx) DropToken(id string) error { return t.update(id, "DELETE FROM tokens WHERE id = ?", id) }

// SaveAudit adds to the audit log.
func (t *tx) SaveAudit(at time.Time, some []byte) (int64, error) {
	r, err := t.write("INSERT INTO audit (time, data) VALUES (?, ?)", record.Nanos(at), some)
	if err != nil {
		return 0, err
	}
	n, err := r.LastInsertId()
	return n, t.fail(err)
}

// Audit reads the audit log, the newest first.
func (t *tx) Audit(before int64, since time.Time, limit int) ([]auth.AuditPage, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	return collect(t, func(s scanner) (p auth.AuditPage, err error) {
		var at int64
		err = s.Scan(&p.Number, &at, &p.Some)
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
