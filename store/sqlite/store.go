package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	sqlitedriver "modernc.org/sqlite"

	"github.com/hostler-project/hostler/store/group"
)

const (
	// application marks the file as ours: "hstl".
	application = 0x6873746c
	// schema is the newest migration; a file with a higher number was written by a newer hostler.
	schema = 11
)

// Options change what the zero value does.
type Options struct {
	// Busy is how long a transaction waits for other processes; 0: 30 s.
	Busy time.Duration
	// VFS names a registered SQLite file system, for tests of failing disks; "": the default.
	VFS string
	// Log is how many pages the log may have before a commit works it in; 0: 1000, SQLite's own.
	Log int
	// Unsafe leaves out syncs: for simulations whose machine never loses power.
	Unsafe bool
	// Migrate takes the steps from an older format to this one in the file of a path, as
	// migration.Up does; nil: a file of an older format is refused.
	Migrate func(ctx context.Context, path string) error

	moving bool // opened by Move
}

// Store is an open state file. It satisfies pool.Store. All methods may be called from many
// goroutines.
type Store struct {
	path         string
	opt          Options
	installation string
	locks        *locks
	dsn          string

	wmu    sync.Mutex // held by the leader of a batch, which alone uses write
	write  *session
	spared time.Time // the last look at the spare
	sought time.Time // the last one for a caller that wants more
	lean   bool      // the spare was given up, so the log is kept short

	queue   *group.Queue // the callers of Update, whose batches are committed with wmu held
	viewing sync.WaitGroup
	seats   chan struct{} // one for each reader

	mu    sync.Mutex
	idle  []*session // for readers
	views int        // so many were there
	done  bool       // Close was called
}

// Open opens the state file. It makes a missing one, with its directory (0700), and has an older
// one migrated. A file that is not ours, or of a newer hostler, is refused and not touched:
// ErrConflict. A directory that we cannot write is ErrDenied.
func Open(ctx context.Context, path string, opt Options) (*Store, error) {
	if opt.Busy == 0 {
		opt.Busy = 30 * time.Second
	}
	s, err := begin(ctx, path, opt)
	if err != nil && isFull(err) && os.Remove(s.path+"-spare") == nil {
		s, err = begin(ctx, path, opt)
	}
	if err != nil {
		return nil, openError(path, err)
	}
	s.provide()
	return s, nil
}

// begin starts a store. With an error the store is closed, and only good for its path.
func begin(ctx context.Context, path string, opt Options) (*Store, error) {
	s := &Store{path: path, opt: opt, seats: make(chan struct{}, readers)}
	s.queue = group.New(&s.wmu, s.commit, s.abandon)
	err := s.start(ctx)
	if err != nil {
		_ = s.leave() // a refused file is not to be changed by the close either
	}
	return s, err
}

// start opens the state file, makes it if it is missing, and has it migrated.
func (s *Store) start(ctx context.Context) error {
	// SQLite's usual locks belong to the process, and the kernel drops all of them on a file
	// whenever any descriptor of it is closed: a second Store, which looks at the header itself,
	// would strip the first of its locks. Where there is nothing better, one Store has to be
	// enough.
	_, _ = sqlitedriver.OFDLocking(true)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.find(); err != nil {
		return err
	}
	version, err := inspect(s.path)
	if err != nil {
		return err
	}
	if version == 0 {
		if err := s.create(ctx); err != nil {
			return err
		}
	}
	s.dsn = s.opt.dsn(s.path)
	if s.write, err = openSession(s.dsn); err != nil {
		return err
	}
	// The header may be behind the log that lies beside it.
	if err := s.write.row("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version < schema {
		if version, err = s.migrate(ctx); err != nil {
			return err
		}
	}
	if version > schema {
		return newer(version)
	}
	if s.locks, err = openLocks(s.path + "-workers"); err != nil {
		return err
	}
	return s.identify() // with a place among the workers: a process that moves the records has all places
}

// find makes the directory and the file if they are missing, private from the first moment. It
// resolves links, as all processes must agree on the names of the files beside it.
func (s *Store) find() (err error) {
	if s.path, err = filepath.Abs(s.path); err != nil {
		return err
	}
	if _, err := os.Stat(s.path); err != nil {
		if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
			return err
		}
		if err := touch(s.path); err != nil {
			return err
		}
	}
	s.path, err = filepath.EvalSymlinks(s.path)
	return err
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn is the driver's name for a file.
func (opt Options) dsn(path string) string {
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", opt.Busy.Milliseconds()))
	sync := "FULL"
	if opt.Unsafe {
		sync = "OFF"
	}
	q.Add("_pragma", "synchronous("+sync+")")
	if opt.Log != 0 {
		q.Add("_pragma", fmt.Sprintf("wal_autocheckpoint(%d)", opt.Log))
	}
	if opt.VFS != "" {
		q.Set("vfs", opt.VFS)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// Leave is Close for commands. When the last process closes the file, SQLite works the log in and
// syncs twice; the next command would do that again. Leave does so only when the log has grown
// long. Until then the file alone, without its -wal, is not the whole state.
func (s *Store) Leave() error {
	if s.Long() {
		return s.Close()
	}
	return s.leave()
}

func (s *Store) leave() error {
	// SQLite does it only when it gets the file for itself; so it gets company.
	stay, err := s.accompany()
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(s.Close(), stay.Close())
}

// Long reports whether the log is worth cutting, by Close; else a process that ends may leave the
// store as it is. The first process to open a file reads all of its log, worked in or not, and
// appends to it: 256 pages cost it a quarter of a millisecond. A process that stays pays for none
// of this, and works in a thousand pages at a time.
func (s *Store) Long() bool {
	const pages, frame = 256, 4096 + 24
	info, err := os.Stat(s.path + "-wal")
	return err == nil && info.Size() >= pages*frame
}

// Close ends the store, and waits for running transactions. Committed changes stay. The last
// process to close a file leaves its log empty. Close may be called again.
func (s *Store) Close() error {
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	s.viewing.Wait()
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	var errs []error
	for _, r := range idle {
		errs = append(errs, r.close())
	}
	if s.write != nil {
		// The log is kept as a file, as deleting and making it would cost syncs, and cut to this
		// size by the last to close.
		_ = s.write.exec("PRAGMA journal_size_limit = 0")
		errs = append(errs, s.write.close())
		s.write = nil
	}
	if s.locks != nil {
		errs = append(errs, s.locks.close())
	}
	return errors.Join(errs...)
}

func (s *Store) closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// Installation is the random id of this state file, which marks all that is made with it.
func (s *Store) Installation() string { return s.installation }

// Version changes when another handle, of this process or another, has written.
func (s *Store) Version(ctx context.Context) (int64, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if err := errors.Join(ctx.Err(), s.writer()); err != nil {
		return 0, wrap(err)
	}
	var v int64
	err := s.write.row("PRAGMA data_version").Scan(&v)
	return v, wrap(err)
}
