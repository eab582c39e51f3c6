package sqlite

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// moved is the row of meta that says where the records of a file have gone.
const moved = "moved"

var (
	errMoved = errors.New("its records were moved")
	errTaken = errors.New("another hostler has all of it to itself, to move it; try again")
)

// Rows gives the named columns of all rows of a table: each an int64, a string, a []byte or nil. A
// row is good until the next.
type Rows func(table string, columns ...string) iter.Seq2[[]any, error]

// Move gives all records of the state file to take, which copies them elsewhere. From then on the
// file refuses its users with ErrConflict; to says in words where the records are now.
//
// If a process has the file open, Move fails with ErrConflict. When take fails the file is as it
// was. Only if take returns ErrLost, as it cannot tell whether the copy was made, the file stays
// refused, as after a crash. Call Move again then: take must know what it has done already.
func Move(ctx context.Context, path, to string, opt Options, take func(installation string, rows Rows) error) error {
	opt.moving = true
	s, err := Open(ctx, path, opt)
	if err != nil {
		return err
	}
	defer s.Close()
	if ok, err := s.locks.alone(); err != nil {
		return openError(path, err)
	} else if !ok {
		return &compute.Error{Op: "state", ID: compute.ID(path), Kind: compute.ErrConflict,
			Err:  errors.New("other processes of hostler use it"),
			Hint: "stop `hostler serve`, `hostler keeper stop`, and end what runs by hostler here"}
	}
	// Before anything is copied: after a crash no process may go on with records that are somewhere
	// else too.
	if err := s.write.exec(
		"INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", moved,
		to,
	); err != nil {
		return wrap(err)
	}
	err = take(s.installation, s.rows)
	if err != nil && !errors.Is(err, compute.ErrLost) {
		err = errors.Join(err, wrap(s.write.exec("DELETE FROM meta WHERE name = ?", moved)))
	}
	return err
}

// rows reads a table.
func (s *Store) rows(table string, columns ...string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		r, err := s.write.query("SELECT " + strings.Join(columns, ", ") + " FROM " + table)
		if err != nil {
			yield(nil, wrap(err))
			return
		}
		defer r.Close()
		row := make([]any, len(columns))
		for r.Next() {
			for n, v := range r.st.vals {
				row[n] = v
			}
			if !yield(row, nil) {
				return
			}
		}
		if r.err != nil {
			yield(nil, wrap(r.err))
		}
	}
}

// alone takes the places of all workers, for as long as the handle is open. It reports whether no
// other process has the file open; none can open it then.
func (l *locks) alone() (bool, error) {
	err := fcntl(l.f, setLock, unix.F_WRLCK, 1, &unix.Flock_t{Len: slots - 1})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// identify reads what the file says of itself.
func (s *Store) identify() error {
	r, err := s.write.query("SELECT name, value FROM meta WHERE name IN ('installation', '" + moved + "')")
	if err != nil {
		return err
	}
	defer r.Close()
	var to string
	for r.Next() {
		var name, value string
		if err := r.Scan(&name, &value); err != nil {
			return err
		}
		if name == moved {
			to = value
		} else {
			s.installation = value
		}
	}
	switch {
	case r.err != nil:
		return r.err
	case s.installation == "":
		return errNoRow
	case to != "" && !s.opt.moving:
		return fmt.Errorf("%w to %s", errMoved, to)
	}
	return nil
}
