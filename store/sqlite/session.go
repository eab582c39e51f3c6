package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	sqlitedriver "modernc.org/sqlite"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store/record"
)

// session is one connection with its prepared statements, used by one goroutine at a time. It calls
// the driver directly: database/sql would take a third of the time of the short statements of a
// hand-out.
type session struct {
	conn    driver.Conn
	stmts   map[string]*stmt
	details map[string]*record.Detail
	terms   termsMemory
	memory  *memory // nil: nothing is known
}

type stmt struct {
	s    driver.Stmt
	exec driver.StmtExecContext
	ask  driver.StmtQueryContext
	args []driver.NamedValue
	vals []driver.Value // of the row read last
}

func openSession(dsn string) (*session, error) {
	c, err := (&sqlitedriver.Driver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	// A log that is deleted at the last close is made again at the next open: two syncs for each
	// command.
	if fc, ok := c.(sqlitedriver.FileControl); ok {
		if _, err := fc.FileControlPersistWAL("main", 1); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return &session{conn: c, stmts: map[string]*stmt{}}, nil
}

// forget drops the memory, after a rollback.
func (s *session) forget() { s.memory = nil }

func (s *session) close() error {
	for _, st := range s.stmts {
		st.s.Close()
	}
	return s.conn.Close()
}

// manyStatements are kept prepared. There are some forty, and more only by queries with limits of
// many sizes.
const manyStatements = 256

// prepare returns the cached statement of a query, with these arguments.
func (s *session) prepare(q string, args []any) (*stmt, error) {
	st := s.stmts[q]
	if st == nil {
		if len(s.stmts) >= manyStatements {
			for q, st := range s.stmts {
				st.s.Close()
				delete(s.stmts, q)
			}
		}
		d, err := s.conn.Prepare(q)
		if err != nil {
			return nil, err
		}
		st = &stmt{s: d}
		var ok, ok2 bool
		st.exec, ok = d.(driver.StmtExecContext)
		st.ask, ok2 = d.(driver.StmtQueryContext)
		if !ok || !ok2 {
			return nil, errors.Join(errors.New("sqlite: the driver's statements take no context"), d.Close())
		}
		s.stmts[q] = st
	}
	st.args = st.args[:0]
	for n, a := range args {
		switch v := a.(type) {
		case int:
			a = int64(v)
		case string, int64, []byte, nil:
		default:
			return nil, fmt.Errorf("sqlite: argument %d is a %T", n+1, a)
		}
		st.args = append(st.args, driver.NamedValue{Ordinal: n + 1, Value: a})
	}
	return st, nil
}

// run executes without the caller's context: an interrupted statement would roll back what other
// callers of the same transaction did.
func (s *session) run(q string, args ...any) (driver.Result, error) {
	st, err := s.prepare(q, args)
	if err != nil {
		return nil, err
	}
	return st.exec.ExecContext(context.Background(), st.args)
}

func (s *session) exec(q string, args ...any) error {
	_, err := s.run(q, args...)
	return err
}

// script executes any number of statements.
func (s *session) script(q string) error {
	_, err := s.conn.(driver.ExecerContext).ExecContext(context.Background(), q, nil)
	return err
}

// errNoRow is what a single row's Scan says when there is none.
var errNoRow = errors.New("no such row")

// rows are the answer to a query. They must be closed before their statement is used again.
type rows struct {
	st  *stmt
	r   driver.Rows
	err error
}

// query runs a prepared statement. Its rows share one set of values, which the next row
// overwrites.
func (s *session) query(q string, args ...any) (*rows, error) {
	st, err := s.prepare(q, args)
	if err != nil {
		return nil, err
	}
	r, err := st.ask.QueryContext(context.Background(), st.args)
	if err != nil {
		return nil, err
	}
	if n := len(r.Columns()); len(st.vals) != n {
		st.vals = make([]driver.Value, n)
	}
	return &rows{st: st, r: r}, nil
}

func (r *rows) Next() bool {
	r.err = r.r.Next(r.st.vals)
	if r.err == io.EOF {
		r.err = nil
		return false
	}
	return r.err == nil
}

// Scan copies the row; each type must fit exactly, and only a []byte may be null.
func (r *rows) Scan(to ...any) error {
	for n, d := range to {
		switch v := r.st.vals[n].(type) {
		case int64:
			switch d := d.(type) {
			case *int64:
				*d = v
			case *int:
				*d = int(v)
			default:
				return fmt.Errorf("sqlite: column %d is a number, and not a %T", n+1, d)
			}
		case string:
			switch d := d.(type) {
			case *string:
				*d = v
			case *compute.ID:
				*d = compute.ID(v)
			case *compute.State:
				*d = compute.State(v)
			case *[]byte:
				*d = []byte(v)
			default:
				return fmt.Errorf("sqlite: column %d is text, and not a %T", n+1, d)
			}
		case []byte:
			d, ok := d.(*[]byte)
			if !ok {
				return fmt.Errorf("sqlite: column %d is a blob", n+1)
			}
			*d = append([]byte(nil), v...)
		case nil:
			if d, ok := d.(*[]byte); ok {
				*d = nil
				continue
			}
			return fmt.Errorf("sqlite: column %d is null", n+1)
		default:
			return fmt.Errorf("sqlite: column %d is a %T", n+1, v)
		}
	}
	return nil
}

func (r *rows) Close() error { return r.r.Close() }

type scanner interface{ Scan(...any) error }

// single is the first row of a query, or why there is none. It is to be scanned at once.
type single struct {
	r   *rows
	err error
}

func (s *session) row(q string, args ...any) single {
	r, err := s.query(q, args...)
	return single{r, err}
}

// Scan reads the first row and closes the rows. Without a row it returns errNoRow.
func (s single) Scan(to ...any) error {
	if s.err != nil {
		return s.err
	}
	var err error
	switch {
	case s.r.Next():
		err = s.r.Scan(to...)
	case s.r.err != nil:
		err = s.r.err
	default:
		err = errNoRow
	}
	return errors.Join(err, s.r.Close())
}
