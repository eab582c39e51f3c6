package postgres

import (
	"cmp"
	"math"
	"time"

	"github.com/hostler-project/hostler/compute"
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
	t.ID, t.Used, t.From, t.Data = decode(id), record.Time(used), decode(from), []byte(data)
	return &t, err
}

// Token returns one by its hash.
func (t *tx) Token(hash store.TokenHash) (*store.Token, error) {
	all, err := ask(t, scanToken, "SELECT "+tokenColumns+" FROM tokens WHERE hash = $1", hash[:])
	if err == nil && len(all) == 0 {
		return nil, &compute.Error{ID: "token", Kind: compute.ErrNotFound}
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Tokens returns all, by ID.
func (t *tx) Tokens() ([]*store.Token, error) {
	return ask(t, scanToken, "SELECT "+tokenColumns+" FROM tokens ORDER BY id")
}

// ask reads all rows of a query.
func ask[T any](t *tx, scan func(scanner) (T, error), q string, args ...any) (out []T, err error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	err = t.ask(collect(&out, scan, q, args...))
	return out, err
}

// SaveToken adds one, or changes that of its ID.
func (t *tx) SaveToken(v *store.Token) error {
	if err := t.writing(); err != nil {
		return err
	}
	return t.ask(query{text: "INSERT INTO tokens (id, hash, used, used_from, data) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, used = excluded.used, used_from = excluded.used_from, data = excluded.data",
		args: []any{encode(v.ID), v.Hash[:], record.Nanos(v.Used), encode(v.From), string(v.Data)}})
}

// DropToken forgets one.
func (t *tx) DropToken(id string) error {
	if err := t.writing(); err != nil {
		return err
	}
	gone, err := ask(
		t, func(s scanner) (id string, err error) { return id, s.Scan(&id) },
		"DELETE FROM tokens WHERE id = $1 RETURNING id", encode(id),
	)
	if err == nil && len(gone) == 0 {
		err = &compute.Error{ID: compute.ID(id), Kind: compute.ErrNotFound}
	}
	return err
}

// SaveAudit adds to the audit log.
func (t *tx) SaveAudit(at time.Time, data []byte) (int64, error) {
	if err := t.writing(); err != nil {
		return 0, err
	}
	numbers, err := ask(
		t, func(s scanner) (n int64, err error) { return n, s.Scan(&n) },
		"INSERT INTO audit (time, data) VALUES ($1, $2) RETURNING number", record.Nanos(at), data,
	)
	if err != nil {
		return 0, err
	}
	return numbers[0], nil
}

// Audit reads the audit log, the newest first.
func (t *tx) Audit(before int64, since time.Time, limit int) ([]store.AuditPage, error) {
	before = cmp.Or(max(0, before), math.MaxInt64)
	return ask(t, func(s scanner) (p store.AuditPage, err error) {
		var at int64
		err = s.Scan(&p.Number, &at, &p.Data)
		p.Time = record.Time(at)
		return p, err
	}, "SELECT number, time, data FROM audit WHERE number < $1 AND time >= $2 ORDER BY number DESC LIMIT $3", before,
		record.Nanos(since), limit)
}

// DropAudit deletes entries from before a time.
func (t *tx) DropAudit(before time.Time) error {
	if err := t.writing(); err != nil {
		return err
	}
	return t.ask(query{text: "DELETE FROM audit WHERE time < $1", args: []any{record.Nanos(before)}})
}
