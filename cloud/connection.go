package cloud

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// connection is the connection to a server, which is kept.
type connection struct {
	name       string
	t          Timers
	isNew      bool // the server was made for us, and may refuse the key at first
	open       func(context.Context) (compute.Conn, error)
	connecting chan struct{} // one slot: its holder connects
	gone       context.Context
	end        context.CancelCauseFunc // ends gone, and with it the running commands

	mu      sync.Mutex
	reached bool // a connection was open once
	conn    compute.Conn
}

func newLine(name string, t Timers) *connection {
	l := &connection{name: name, t: t, connecting: make(chan struct{}, 1)}
	l.gone, l.end = context.WithCancelCause(context.Background())
	return l
}

// current returns the open connection, or nil.
func (l *connection) current() compute.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// set takes an open connection; nil: there is none.
func (l *connection) set(conn compute.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.reached = conn, l.reached || conn != nil
}

func (l *connection) fail(op string, kind, err error) error { return failure(l.name, op, kind, err) }

// failure returns the error of an operation on a server.
func failure(server, op string, kind, err error) error {
	return &compute.Error{Op: "cloud." + op, ID: compute.ID(server), Kind: kind, Err: err}
}

// connect returns the connection, and opens it if there is none. A new server is tried for up to
// Timers.SSH; one that was reached before must answer at once.
func (l *connection) connect(ctx context.Context) (compute.Conn, error) {
	ctx, cancel := l.withServer(ctx)
	defer cancel(nil)
	select {
	case l.connecting <- struct{}{}:
		defer func() { <-l.connecting }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l.mu.Lock()
	conn, reached := l.conn, l.reached
	l.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	began := time.Now()
	var denied time.Time
	for {
		try, stop := context.WithTimeout(ctx, l.t.Dial)
		conn, err := l.open(try)
		stop()
		if err == nil {
			l.set(conn)
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, l.fail("SSHClient", nil, context.Cause(ctx))
		}
		if errors.Is(err, compute.ErrDenied) && denied.IsZero() {
			denied = time.Now()
		}
		switch {
		case errors.Is(err, compute.ErrDenied) && l.isNew && !reached && time.Since(denied) < l.t.Denied:
			// the server may still be making its users
		case errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrTimeout) || errors.Is(err, context.DeadlineExceeded):
			if reached || time.Since(began) >= l.t.SSH {
				return nil, l.fail("SSHClient", kindUnlessKnown(err, compute.ErrUnavailable), err)
			}
		default:
			return nil, l.fail("SSHClient", kindUnlessKnown(err, compute.ErrFailed), err)
		}
		if err := sleep(ctx, l.t.Poll); err != nil {
			return nil, l.fail("SSHClient", nil, err)
		}
	}
}

// session checks that a session opens within Timers.Dial, and returns the connection.
func (l *connection) session(ctx context.Context) (compute.Conn, error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	try, stop := context.WithTimeout(ctx, l.t.Dial)
	defer stop()
	if _, err := conn.Run(try, &compute.Command{Args: []string{"true"}}); err != nil {
		l.drop(conn, err)
		return nil, l.fail("SSHSession", kindUnlessKnown(err, compute.ErrTimeout), err)
	}
	return conn, nil
}

// withServer derives a context that ends with the server too.
func (l *connection) withServer(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.gone, func() { cancel(context.Cause(l.gone)) })
	return ctx, func(err error) {
		stop()
		cancel(err)
	}
}

// drop forgets a lost connection, so that the next use connects anew.
func (l *connection) drop(conn compute.Conn, err error) {
	if !errors.Is(err, compute.ErrLost) && !errors.Is(err, context.DeadlineExceeded) {
		return
	}
	l.mu.Lock()
	ours := l.conn == conn
	if ours {
		l.conn = nil
	}
	l.mu.Unlock()
	if ours {
		_ = conn.Close()
	}
}

// disconnect closes the connection. Commands on it end.
func (l *connection) disconnect() error {
	l.mu.Lock()
	conn := l.conn
	l.conn = nil
	l.mu.Unlock()
	if conn == nil {
		return nil
	}
	return conn.Close()
}

// runOn runs a command, and returns what it wrote.
func (l *connection) runOn(ctx context.Context, op string, conn compute.Conn, cmd *compute.Command) (string, string, error) {
	ctx, cancel := l.withServer(ctx)
	defer cancel(nil)
	return l.runBare(ctx, op, conn, cmd)
}

// runBare runs a command that the end of the server does not end.
func (l *connection) runBare(ctx context.Context, op string, conn compute.Conn, cmd *compute.Command) (string, string, error) {
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	exit, err := conn.Run(ctx, cmd)
	switch {
	case ctx.Err() != nil && context.Cause(ctx) == errDestroyed:
		return out.String(), bad.String(), l.fail(op, compute.ErrNotFound, errDestroyed)
	case err != nil:
		l.drop(conn, err)
		return out.String(), bad.String(), l.fail(op, kindUnlessKnown(err, nil), err)
	case exit.Status() != 0:
		return out.String(), bad.String(), l.fail(op, compute.ErrFailed, &ExitError{exit, tail(bad.String())})
	}
	return out.String(), bad.String(), nil
}

// kindUnlessKnown returns nil if an error has a kind of its own, which then shows through; else
// otherwise.
func kindUnlessKnown(err error, otherwise error) error {
	var known *compute.Error
	if errors.As(err, &known) && known.Kind != nil {
		return nil
	}
	return otherwise
}
