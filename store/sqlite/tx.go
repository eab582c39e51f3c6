package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// tx is a transaction on one session. A failed write makes the whole transaction fail, whatever its caller does with the error.
type tx struct {
	s        *session
	readOnly bool
	writes   int
	err      error
	source   *compute.SourceRecord // read last, and true until the next write
}

var _ compute.Tx = (*tx)(nil)

func (t *tx) write(q string, args ...any) (sql.Result, error) {
	if t.readOnly {
		t.err = errors.New("sqlite: a write in a View")
		return nil, t.err
	}
	t.writes++
	t.source = nil
	r, err := t.s.run(q, args...)
	if err != nil && t.err == nil {
		t.err = err
	}
	return r, err
}

// read turns the absence of a row into ErrNotFound.
func (t *tx) read(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return &compute.Error{ID: compute.ID(what), Kind: compute.ErrNotFound}
	}
	return err
}

// Times are stored as nanoseconds since 1970, the zero time as 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// pack writes small maps as JSON, and nothing as "".
func pack[T ~map[string]string](m T) string {
	if len(m) == 0 {
		return ""
	}
	b, _ := json.Marshal(m) // a map of strings cannot fail
	return string(b)
}

func unpack[T any](s string, to *T) error {
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), to)
}

// collect reads all rows of a query.
func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
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

func limit(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" LIMIT %d", n)
}
