package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// Host is a computer that ssh reaches. A zero field means what OpenSSH's configuration says; host
// keys are verified as OpenSSH does it.
type Host struct {
	Address    string // a name or alias, as for ssh; required
	User       string
	Key        string // a file with a private key
	ConfigFile string // read in place of OpenSSH's own configuration
	Timers     Timers
}

// NewServer wraps any host that ssh reaches. It belongs to no cloud, so Destroy only disconnects
// from it.
func NewServer(h Host) *Server {
	s := newServer(h.Timers.complete(), record{Name: h.Address, IP: h.Address, Login: Login{User: h.User}, State: made})
	s.open = func(ctx context.Context) (compute.Conn, error) {
		o := sshconn.Options{Host: h.Address, User: h.User, ConfigFile: h.ConfigFile}
		if h.Key != "" {
			o.IdentityFiles = []string{h.Key}
		}
		c, err := sshconn.Dial(ctx, o)
		if err != nil {
			return nil, err // not c: a typed nil is not nil
		}
		return c, nil
	}
	return s
}

// SSHClient returns the connection to the server, and opens it if there is none. It stays the
// server's: do not close it. A new server is tried for up to Timers.SSH; one that was reached
// before must answer at once.
func (s *Server) SSHClient(ctx context.Context) (compute.Conn, error) {
	ctx, cancel := s.while(ctx)
	defer cancel(nil)
	select {
	case s.again <- struct{}{}:
		defer func() { <-s.again }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	conn, reached := s.conn, s.reached
	s.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	began := time.Now()
	var denied time.Time
	for {
		try, stop := context.WithTimeout(ctx, s.t.Dial)
		conn, err := s.open(try)
		stop()
		if err == nil {
			s.mu.Lock()
			s.conn, s.reached = conn, true
			s.mu.Unlock()
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, s.fail("SSHClient", nil, context.Cause(ctx))
		}
		if errors.Is(err, compute.ErrDenied) && denied.IsZero() {
			denied = time.Now()
		}
		switch {
		case errors.Is(err, compute.ErrDenied) && s.c != nil && !reached && time.Since(denied) < s.t.Denied:
			// the server may still be making its users
		case errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrTimeout) || errors.Is(err, context.DeadlineExceeded):
			if reached || time.Since(began) >= s.t.SSH {
				return nil, s.fail("SSHClient", kindOr(err, compute.ErrUnavailable), err)
			}
		default:
			return nil, s.fail("SSHClient", kindOr(err, compute.ErrFailed), err)
		}
		if err := sleep(ctx, s.t.Poll); err != nil {
			return nil, s.fail("SSHClient", nil, err)
		}
	}
}

// kindOr returns nil if an error has a kind of its own, which then shows through; else otherwise.
func kindOr(err error, otherwise error) error {
	var known *compute.Error
	if errors.As(err, &known) && known.Kind != nil {
		return nil
	}
	return otherwise
}

// SSHSession checks that a session opens on the connection within Timers.Dial, and returns the
// connection.
func (s *Server) SSHSession(ctx context.Context) (compute.Conn, error) {
	conn, err := s.SSHClient(ctx)
	if err != nil {
		return nil, err
	}
	try, stop := context.WithTimeout(ctx, s.t.Dial)
	defer stop()
	if _, err := conn.Run(try, &compute.Command{Args: []string{"true"}}); err != nil {
		s.drop(conn, err)
		return nil, s.fail("SSHSession", kindOr(err, compute.ErrTimeout), err)
	}
	return conn, nil
}

// while derives a context that ends with the server too.
func (s *Server) while(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.gone, func() { cancel(context.Cause(s.gone)) })
	return ctx, func(err error) {
		stop()
		cancel(err)
	}
}

// drop forgets a lost connection, so that the next use connects anew.
func (s *Server) drop(conn compute.Conn, err error) {
	if !errors.Is(err, compute.ErrLost) && !errors.Is(err, context.DeadlineExceeded) {
		return
	}
	s.mu.Lock()
	ours := s.conn == conn
	if ours {
		s.conn = nil
	}
	s.mu.Unlock()
	if ours {
		_ = conn.Close()
	}
}

// disconnect closes the connection. Commands on it end.
func (s *Server) disconnect() error {
	s.mu.Lock()
	conn := s.conn
	s.conn = nil
	s.mu.Unlock()
	if conn == nil {
		return nil
	}
	return conn.Close()
}

// begin counts a running command, so that the server is not destroyed as idle under it.
func (s *Server) begin(op string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != living {
		return s.fail(op, compute.ErrNotFound, errDestroyed)
	}
	s.commands++
	s.halt()
	return nil
}

func (s *Server) ended() {
	s.mu.Lock()
	s.commands--
	counts := s.counts
	s.mu.Unlock()
	if counts {
		s.idle()
	}
}

// ExitError says that a command ended with another status than 0.
type ExitError struct {
	Exit   compute.Exit
	Stderr string // the end of its output of errors
}

// Error has the status and the last words of the command.
func (e *ExitError) Error() string {
	text := fmt.Sprintf("it ended with status %d", e.Exit.Status())
	if e.Exit.Signal != "" {
		text = "it was ended by signal " + e.Exit.Signal
	}
	if said := strings.TrimSpace(e.Stderr); said != "" {
		text += ": " + said
	}
	return text
}

// launch starts the command $1 so that it outlives the session, and watches it for a moment, so
// that an early failure is reported.
const launch = `s=; command -v setsid >/dev/null 2>&1 && s=setsid
nohup $s sh -c "$1" >/dev/null 2>&1 </dev/null & p=$!
sleep 1
if kill -0 $p 2>/dev/null; then echo $p; exit 0; fi
wait $p`

// RunCmd runs a line in the server's shell and returns its whole output. A status other than 0 is
// an ExitError. When ctx ends or the server is destroyed, the command is ended, and the error says
// so.
//
// In the background, the command goes on after RunCmd returns, and its output is dropped. stdout is
// its process id. A command that fails within its first second is an error.
func (s *Server) RunCmd(ctx context.Context, cmd string, background bool) (stdout, stderr string, err error) {
	args := []string{"sh", "-c", cmd}
	if background {
		args = []string{"sh", "-c", launch, "sh", cmd}
	}
	return s.run(ctx, "RunCmd", &compute.Command{Args: args, Stay: background})
}

// run runs a command and returns what it wrote.
func (s *Server) run(ctx context.Context, op string, cmd *compute.Command) (string, string, error) {
	if err := s.begin(op); err != nil {
		return "", "", err
	}
	defer s.ended()
	conn, err := s.SSHClient(ctx)
	if err != nil {
		return "", "", err
	}
	return s.runOn(ctx, op, conn, cmd)
}

func (s *Server) runOn(ctx context.Context, op string, conn compute.Conn, cmd *compute.Command) (string, string, error) {
	ctx, cancel := s.while(ctx)
	defer cancel(nil)
	return s.runBare(ctx, op, conn, cmd)
}

func (s *Server) runBare(ctx context.Context, op string, conn compute.Conn, cmd *compute.Command) (string, string, error) {
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	exit, err := conn.Run(ctx, cmd)
	switch {
	case ctx.Err() != nil && context.Cause(ctx) == errDestroyed:
		return out.String(), bad.String(), s.fail(op, compute.ErrNotFound, errDestroyed)
	case err != nil:
		s.drop(conn, err)
		return out.String(), bad.String(), s.fail(op, kindOr(err, nil), err)
	case exit.Status() != 0:
		return out.String(), bad.String(), s.fail(op, compute.ErrFailed, &ExitError{exit, tail(bad.String())})
	}
	return out.String(), bad.String(), nil
}

// tail returns the end of a text, for an error.
func tail(text string) string {
	const most = 2000
	if text = strings.TrimSpace(text); len(text) > most {
		text = "... " + text[len(text)-most:]
	}
	return text
}

// home is this process's home directory.
func home(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path, nil
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, rest), nil
}
