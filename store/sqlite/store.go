package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hostler-project/hostler/compute"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// application marks the file as ours: "hstl".
	application = 0x6873746c
	// schema is the newest migration; a file with a higher number was written by a newer hostler.
	schema = 1
)

// Options change what the zero value does.
type Options struct {
	// Busy is how long a transaction waits for other processes; 0: 30 s.
	Busy time.Duration
	// VFS names a registered SQLite file system, for tests of failing disks; "": the default.
	VFS string
	// Unsafe leaves out syncs: for simulations whose machine never loses power.
	Unsafe bool
}

// Store is an open state file. It satisfies pool.Store. All methods may be called from many goroutines.
type Store struct {
	path         string
	installation string
	locks        *locks
	db           *sql.DB

	wmu   sync.Mutex // held by the leader of a batch, who alone uses write
	write *session

	mu    sync.Mutex
	queue []*op
	lead  bool
	idle  []*session // for readers
	done  bool
}

// Open opens the state file, making it and its directory (0700) where there is none, and bringing an older one up to date. It refuses, and
// does not touch, a file that is not ours, that is damaged, or that a newer hostler wrote.
func Open(ctx context.Context, path string, opt Options) (*Store, error) {
	if opt.Busy == 0 {
		opt.Busy = 30 * time.Second
	}
	fail := func(err error) error { return openError(path, err) }
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fail(err)
	}
	if err := touch(path); err != nil {
		return nil, fail(err)
	}
	q := url.Values{"_txlock": {"immediate"}}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", opt.Busy.Milliseconds()))
	sync := "FULL"
	if opt.Unsafe {
		sync = "OFF"
	}
	q.Add("_pragma", "synchronous("+sync+")")
	if opt.VFS != "" {
		q.Set("vfs", opt.VFS)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fail(err)
	}
	db.SetMaxIdleConns(0) // sessions are ours to keep
	s := &Store{path: path, db: db}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, fail(err)
	}
	return s, nil
}

// touch makes the file private before SQLite, which follows the umask, can make it.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) start(ctx context.Context) error {
	w, err := s.session(ctx)
	if err != nil {
		return err
	}
	s.write = w
	var app, version int
	if err := w.row("PRAGMA application_id").Scan(&app); err != nil {
		return err
	}
	if err := w.row("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case app != application && (app != 0 || version != 0):
		return errForeign
	case version > schema:
		return fmt.Errorf("%w: it has format %d, this one knows up to %d", errNewer, version, schema)
	case version < schema:
		if err := s.migrate(ctx); err != nil {
			return err
		}
	}
	if err := w.row("SELECT value FROM meta WHERE name = 'installation'").Scan(&s.installation); err != nil {
		return err
	}
	s.locks, err = openLocks(s.path + "-workers")
	return err
}

// migrate brings the file to this program's format. Two processes may try at once; the first does it.
func (s *Store) migrate(ctx context.Context) error {
	var mode string
	if err := s.write.row("PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the file system cannot keep a write-ahead log (journal mode %q)", mode)
	}
	gate, err := lockFile(ctx, s.path+"-workers")
	if err != nil {
		return err
	}
	defer gate()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	if err := s.write.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err = errors.Join(
		s.write.exec("INSERT INTO meta (name, value) VALUES ('installation', ?) ON CONFLICT DO NOTHING", uuid.NewString()),
		s.write.exec(fmt.Sprintf("PRAGMA application_id = %d", application)),
		s.write.exec(fmt.Sprintf("PRAGMA user_version = %d", schema)))
	if err != nil {
		return errors.Join(err, s.write.exec("ROLLBACK"))
	}
	return s.write.exec("COMMIT")
}

// Close ends the store; transactions that run are waited for. What they committed stays.
func (s *Store) Close() error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	s.done = true
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	var errs []error
	for _, r := range idle {
		errs = append(errs, r.close())
	}
	if s.write != nil {
		errs = append(errs, s.write.close())
		s.write = nil
	}
	errs = append(errs, s.db.Close())
	if s.locks != nil {
		errs = append(errs, s.locks.close())
	}
	return errors.Join(errs...)
}

// Installation is the random id of this state file, which marks all that is made with it.
func (s *Store) Installation() string { return s.installation }

// Version changes when another handle, of this process or another, has written.
func (s *Store) Version(ctx context.Context) (int64, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.write == nil {
		return 0, errClosed
	}
	var v int64
	err := s.write.row("PRAGMA data_version").Scan(&v)
	return v, err
}

// session is one connection with its prepared statements, used by one goroutine at a time.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func (s *Store) session(ctx context.Context) (*session, error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	// A checkpoint at every last close would sync the file once more for each command; the log is worked in when it is long enough.
	err = c.Raw(func(d any) error {
		fc, ok := d.(sqlitedriver.FileControl)
		if !ok {
			return nil
		}
		_, err := fc.FileControlPersistWAL("main", 1)
		return err
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	return &session{conn: c, stmts: map[string]*sql.Stmt{}}, nil
}

func (s *session) stmt(q string) (*sql.Stmt, error) {
	if st := s.stmts[q]; st != nil {
		return st, nil
	}
	st, err := s.conn.PrepareContext(context.Background(), q)
	if err == nil {
		s.stmts[q] = st
	}
	return st, err
}

// exec runs without the caller's context: an interrupted statement would roll back what other callers of the same transaction did.
func (s *session) exec(q string, args ...any) error {
	_, err := s.run(q, args...)
	return err
}

func (s *session) run(q string, args ...any) (sql.Result, error) {
	st, err := s.stmt(q)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(context.Background(), args...)
}

type scanner interface{ Scan(...any) error }

type badRow struct{ err error }

func (b badRow) Scan(...any) error { return b.err }

func (s *session) row(q string, args ...any) scanner {
	st, err := s.stmt(q)
	if err != nil {
		return badRow{err}
	}
	return st.QueryRowContext(context.Background(), args...)
}

func (s *session) query(q string, args ...any) (*sql.Rows, error) {
	st, err := s.stmt(q)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(context.Background(), args...)
}

func (s *session) close() error {
	for _, st := range s.stmts {
		st.Close()
	}
	return s.conn.Close()
}

var (
	errClosed  = &compute.Error{Op: "sqlite", Kind: compute.ErrUnavailable, Err: errors.New("the store is closed")}
	errForeign = errors.New("it is not a state file of hostler")
	errNewer   = errors.New("a newer hostler wrote it")
)

// openError says what is wrong with a state file and what to do about it.
func openError(path string, err error) error {
	e := &compute.Error{Op: "state", ID: compute.ID(path), Kind: compute.ErrFailed, Err: err}
	var code interface{ Code() int }
	switch {
	case errors.Is(err, errNewer):
		e.Kind, e.Hint = compute.ErrConflict, "use the newer hostler, or another state directory by XDG_STATE_HOME; the file was left as it is"
	case errors.Is(err, errForeign):
		e.Kind, e.Hint = compute.ErrConflict, "move it away, or use another state directory by XDG_STATE_HOME; the file was left as it is"
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Hint = compute.ErrDenied, "give yourself access to the directory, or use another one by XDG_STATE_HOME"
	case errors.Is(err, driver.ErrBadConn), errors.As(err, &code):
		e.Kind, e.Hint = sqliteKind(err)
	}
	return e
}

// sqliteKind maps SQLite's result codes to a kind and to what the user may do.
func sqliteKind(err error) (error, string) {
	var code interface{ Code() int }
	if !errors.As(err, &code) {
		return compute.ErrFailed, ""
	}
	switch code.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return compute.ErrFailed, "the state file is damaged: move it and its -wal file away and keep them; hostler then starts anew, and `hostler doctor` tells how to find what the old one had made"
	case sqlite3.SQLITE_FULL:
		return compute.ErrFailed, "the disk is full: free some space and try again; nothing was changed"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return compute.ErrUnavailable, "another process holds the state for long; try again"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH:
		return compute.ErrDenied, "the state directory must be yours and writable; or use another one by XDG_STATE_HOME"
	case sqlite3.SQLITE_IOERR:
		return compute.ErrFailed, "the disk gave an error; nothing was changed"
	}
	return compute.ErrFailed, ""
}

// wrap gives errors of SQLite a kind; others pass as they are.
func wrap(err error) error {
	var code interface{ Code() int }
	if err == nil || !errors.As(err, &code) {
		return err
	}
	var known *compute.Error
	if errors.As(err, &known) {
		return err
	}
	kind, hint := sqliteKind(err)
	return &compute.Error{Op: "state", Kind: kind, Err: err, Hint: hint}
}
