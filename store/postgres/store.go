package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hostler-project/hostler/store/group"
)

// schema is the newest migration; a database with a higher number was written by a newer hostler.
const schema = 11

// Options change what the zero value does.
type Options struct {
	// Busy is how long a transaction waits for other controllers, or for the server, and how long
	// one may sleep in its midst; 0: 30 s.
	Busy time.Duration
	// Patience is how long a transaction waits for a server that is not there to come back; 0: 5 s.
	Patience time.Duration
	// Grace is how long a worker's lock must be seen free before it counts as dead, as a living
	// one's connection may be cut; 0: 3 s; less: none.
	Grace time.Duration
	// Readers is how many connections views may use at once; 0: 6.
	Readers int
	// Log gets notes on connections lost and found again. It may be nil.
	Log *slog.Logger
}

// Store is an open database. It satisfies pool.Store. All methods may be called from many
// goroutines.
type Store struct {
	config       *pgx.ConnConfig
	opt          Options
	log          *slog.Logger
	installation string
	class        int32 // of our advisory locks, of workers and of places, among those of others
	stop         context.CancelFunc
	watched      sync.WaitGroup

	wmu    sync.Mutex // held by the leader of a batch, which alone uses these
	proven bool       // something was committed under this worker's number
	write  *session   // nil: not connected
	memory *memory
	rival  int       // above 0: another controller wrote between our last transactions, see rivalry
	down   time.Time // when the server was last found not to be there; zero: it was

	writing atomic.Pointer[session] // the same as write, for watch
	wrote   atomic.Int64            // transactions of this handle that wrote

	leading atomic.Pointer[time.Time] // until when the lead is ours; nil: it is not
	hearing atomic.Bool               // Listen reports others' writes
	others  atomic.Int64              // so often they were heard

	side side // for what is not a transaction

	queue   *group.Queue  // the callers of Update, whose batches are committed with wmu held
	readers chan struct{} // one for each view that runs
	viewing sync.WaitGroup

	mu     sync.Mutex
	worker int64
	idle   []*session // for readers
	done   bool       // Close was called
	alive  map[int64]bool
	batch  bool // a batch runs, and alive holds for it
}

// Open opens the database at an address, "postgres://USER:PASSWORD@HOST/NAME" or "host=...
// dbname=...". It makes missing tables and upgrades older ones. A database of a newer hostler is
// refused and not touched: ErrConflict. A server that does not answer is ErrUnavailable. Errors
// never contain the password. Until Close, a goroutine watches the connection that holds the
// worker's number.
func Open(ctx context.Context, address string, opt Options) (*Store, error) {
	if opt.Busy == 0 {
		opt.Busy = 30 * time.Second
	}
	if opt.Patience == 0 {
		opt.Patience = 5 * time.Second
	}
	if opt.Grace == 0 {
		opt.Grace = 3 * time.Second
	}
	if opt.Readers <= 0 {
		opt.Readers = 6
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{opt: opt, log: opt.Log, readers: make(chan struct{}, opt.Readers)}
	s.queue = group.New(&s.wmu, s.commit, s.abandon)
	s.side.turns = make(chan struct{}, 1)
	var err error
	if s.config, err = pgx.ParseConfig(address); err != nil {
		// The parser's own text may contain the password.
		return nil, (&Store{}).openError(errAddress)
	}
	s.config.RuntimeParams["client_encoding"] = "UTF8"
	if s.config.RuntimeParams["application_name"] == "" {
		s.config.RuntimeParams["application_name"] = "hostler"
	}
	for tries := 0; ; tries++ {
		err := s.start(ctx)
		if err == nil {
			break
		}
		s.end()
		var refused *pgconn.ConnectError
		if tries == again || ctx.Err() != nil || !broken(err) || errors.As(err, &refused) {
			return nil, s.openError(err)
		}
	}
	s.write.watched = true
	s.writing.Store(s.write)
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.watched.Go(func() { s.watch(ctx) })
	return s, nil
}

// Name is how the database at an address is called for people.
func Name(address string) (string, error) {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return "", (&Store{}).openError(errAddress)
	}
	return (&Store{config: c}).Name(), nil
}

// Name is how the database is called for people: HOST:PORT/DATABASE, and no password.
func (s *Store) Name() string {
	if s.config == nil {
		return ""
	}
	if strings.HasPrefix(s.config.Host, "/") {
		return s.config.Host + "/" + s.config.Database
	}
	return net.JoinHostPort(s.config.Host, fmt.Sprint(s.config.Port)) + "/" + s.config.Database
}

func (s *Store) start(ctx context.Context) error {
	w, err := s.dial(ctx)
	if err != nil {
		return err
	}
	if err := s.create(ctx, w); err != nil {
		w.close()
		return err
	}
	h := fnv.New32a()
	h.Write([]byte(s.installation))
	s.class = int32(h.Sum32())
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.write, s.memory = w, &memory{}
	return s.enlist(w)
}

// Close ends the store, and waits for running transactions. Committed changes stay. Close may be
// called again.
func (s *Store) Close() error {
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	s.viewing.Wait()
	err := s.end()
	s.stop() // not before, as what hangs is ended by it
	s.watched.Wait()
	return err
}

func (s *Store) end() error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, r := range idle {
		r.close()
	}
	var errs []error
	if s.write != nil {
		// So that others see at once that this worker has ended: the server notices a closed
		// connection only some time later.
		if err := s.resign(s.write); err != nil && !errors.Is(err, errLost) {
			errs = append(errs, err)
		}
		s.write.close()
		s.write = nil
	}
	s.side.end()
	return errors.Join(errs...)
}

func (s *Store) closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// Installation is the random id of this database, which marks all that is made with it.
func (s *Store) Installation() string { return s.installation }
