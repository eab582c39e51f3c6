package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// session is one connection, used by one goroutine at a time. Statements are prepared at their
// first use.
type session struct {
	conn     *pgx.Conn
	busy     time.Duration
	password string
	level    string // of synchronous_commit: a commit at it is durable
	// a watcher ends slow calls: a timer for each call would cost a tenth of it
	watched bool
	// start of the unanswered query, in nanoseconds since 1970; 0: none
	since atomic.Int64
}

// patience is how long an answer may take. The server's own limits come first, if it lives.
func (n *session) patience() time.Duration { return 2*n.busy + dialPatience }

// late ends a connection whose answer takes too long.
func (n *session) late() {
	if since := n.since.Load(); since != 0 && time.Since(time.Unix(0, since)) > n.patience() {
		n.conn.PgConn().Conn().Close()
	}
}

// query is a statement on its way, with what becomes of its answer.
type query struct {
	text string
	args []any
	rows func(pgx.Rows) error // nil: there is no answer
}

// scanner is a row.
type scanner interface{ Scan(...any) error }

// errLost says that a connection is of no use any more.
var errLost = errors.New("the connection is lost")

// dialPatience is how long a server may take to accept a connection.
const dialPatience = 5 * time.Second

// dial opens a connection and makes its session what we need.
func (s *Store) dial(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	c, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return nil, s.hide(err)
	}
	n := &session{conn: c, busy: s.opt.Busy, password: s.config.Password}
	if err := n.prepare(ctx); err != nil {
		n.close()
		return nil, s.hide(err)
	}
	return n, nil
}

// prepare sets a session up. Limits that the server already has, if they are tighter, stay.
func (n *session) prepare(ctx context.Context) error {
	ms := n.busy.Milliseconds()
	var pid uint32
	var version, encoding, recovery string
	var changed int
	err := n.conn.QueryRow(ctx, `SELECT pg_backend_pid(), current_setting('server_version_num'), current_setting('server_encoding'), pg_is_in_recovery()::text, changed
 FROM (SELECT count(set_config(name, want, false)) AS changed FROM pg_settings JOIN (VALUES
 ('idle_in_transaction_session_timeout', $1), ('lock_timeout', $1), ('statement_timeout', $2), ('client_connection_check_interval', '5000'),
 ('tcp_keepalives_idle', '20'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'), ('jit', 'off'), ('enable_seqscan', 'off'),
 ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), ('plan_cache_mode', 'force_generic_plan')) AS w (n, want) ON name = n
 WHERE CASE WHEN unit = 'ms' THEN setting = '0' OR setting::bigint > want::bigint ELSE true END) AS set`,
		fmt.Sprint(ms), fmt.Sprint(2*ms)).Scan(&pid, &version, &encoding, &recovery, &changed)
	if err != nil {
		return err
	}
	switch {
	case pid != n.conn.PgConn().PID():
		return errPooler
	case encoding != "UTF8":
		return fmt.Errorf("%w %s", errEncoding, encoding)
	case recovery == "true":
		return errStandby
	}
	// A commit survives a crash, whatever the database's own default. A stronger setting, such as
	// waiting for a standby, stays.
	return n.conn.QueryRow(ctx, `SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false)
 ELSE current_setting('synchronous_commit') END`).Scan(&n.level)
}

// run sends queries together and reads their answers. After an error the rest is left out. It takes
// no context: ending a query in its midst ends the connection, and here that is the worker. Its
// wait is bounded all the same.
func (n *session) run(qs ...query) error {
	var b pgx.Batch
	for _, q := range qs {
		queued := b.Queue(q.text, q.args...)
		if q.rows != nil {
			queued.Query(q.rows)
		}
	}
	ctx := context.Background()
	if n.watched {
		n.since.Store(time.Now().UnixNano())
		defer n.since.Store(0)
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, n.patience())
		defer cancel()
	}
	return n.judge(n.conn.SendBatch(ctx, &b).Close())
}

// judge marks errors after which the connection is of no use.
func (n *session) judge(err error) error {
	if err == nil {
		return nil
	}
	err = hide(err, n.password)
	if n.conn.IsClosed() || fatal(err) {
		n.conn.Close(ended())
		return errors.Join(errLost, err)
	}
	return err
}

// fatal tells whether the server has ended the session with an error.
func fatal(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC")
}

// ended is a context for what must not wait.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// rollback takes a transaction back.
func (n *session) rollback() error { return n.run(query{text: "ROLLBACK"}) }

// alive tells whether the connection stands, as far as this machine knows.
func (n *session) alive() bool {
	if n.conn.IsClosed() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialPatience)
	defer cancel()
	return n.conn.Ping(ctx) == nil
}

func (n *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n.conn.Close(ctx)
}

// one reads the only row of an answer; that there is none is errNoRow.
func one(to ...any) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		if !rows.Next() {
			if err := rows.Err(); err != nil {
				return err
			}
			return errNoRow
		}
		return rows.Scan(to...)
	}
}

// errNoRow is what a single row's reader says when there is none.
var errNoRow = errors.New("no such row")
