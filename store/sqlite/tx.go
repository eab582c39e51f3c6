package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

// tx is a transaction on one session. An error of the database ends it, whatever its caller does
// with the error: after some of them SQLite has taken the transaction back already, and a further
// write would stand alone.
type tx struct {
	s        *session
	readOnly bool
	writes   int
	err      error
	changes  map[int64]*inventory.Counts // of sources' counts, not written yet
	events   []compute.Event             // appended, and not written yet
	sure     bool                        // the session's memory is true
}

var _ store.Tx = (*tx)(nil)

// fail keeps the first error.
func (t *tx) fail(err error) error {
	if err != nil && t.err == nil && !errors.Is(err, errNoRow) {
		t.err = err
	}
	return err
}

// write runs a statement that changes data; in a View it fails. After an error of the
// transaction, it does nothing.
func (t *tx) write(q string, args ...any) (driver.Result, error) {
	if t.err != nil {
		return nil, t.err
	}
	if t.readOnly {
		return nil, t.fail(&compute.Error{Op: "state", Kind: compute.ErrInvalid, Err: errors.New("a write in a View")})
	}
	t.writes++
	r, err := t.s.run(q, args...)
	return r, t.fail(err)
}

// update is a write that must find its record.
func (t *tx) update(what string, q string, args ...any) error {
	r, err := t.write(q, args...)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return &compute.Error{ID: compute.ID(what), Kind: compute.ErrNotFound}
}

// row reads one row; that there is none is errNoRow.
func (t *tx) row(q string, args ...any) scanner {
	if t.err != nil {
		return single{err: t.err}
	}
	return txRow{t, t.s.row(q, args...)}
}

type txRow struct {
	t *tx
	s scanner
}

func (r txRow) Scan(to ...any) error { return r.t.fail(r.s.Scan(to...)) }

// collect reads all rows of a query.
func collect[T any](t *tx, scan func(scanner) (T, error), q string, args ...any) (out []T, err error) {
	err = visit(t, func(v T) error { out = append(out, v); return nil }, scan, q, args...)
	return out, err
}

// visit calls each for each row of a query. An error of each ends it, and is returned.
func visit[T any](t *tx, each func(T) error, scan func(scanner) (T, error), q string, args ...any) error {
	if t.err != nil {
		return t.err
	}
	rows, err := t.s.query(q, args...)
	if err != nil {
		return t.fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return t.fail(err)
		}
		if err := each(v); err != nil {
			return err
		}
	}
	return t.fail(rows.err)
}

// read turns the absence of a row into ErrNotFound.
func (t *tx) read(err error, what string) error {
	if errors.Is(err, errNoRow) {
		return &compute.Error{ID: compute.ID(what), Kind: compute.ErrNotFound}
	}
	return err
}

// where joins conditions.
type where struct {
	text string
	args []any
}

func (w *where) and(cond string, args ...any) {
	if w.text == "" {
		w.text = " WHERE " + cond
	} else {
		w.text += " AND " + cond
	}
	w.args = append(w.args, args...)
}

// among is a condition on a column that may have one of some values; nil: any.
func (w *where) among(column string, values []string) { w.amongOr(column, values, "") }

// amongOr wants one of some values in a column, or that a condition holds; no values, nil: any.
func (w *where) amongOr(column string, values []string, or string) {
	if values == nil {
		return
	}
	text, _ := json.Marshal(values) // strings cannot fail
	cond := column + " IN (SELECT value FROM json_each(?))"
	if or != "" {
		cond = "(" + cond + " OR " + or + ")"
	}
	w.and(cond, string(text))
}

// limit is written out: SQLite prepares a statement with a bound one anew at each run.
func limit(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" LIMIT %d", n)
}
