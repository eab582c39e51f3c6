// Package pgtest starts real PostgreSQL servers for tests: a cluster in a temporary directory, on a
// Unix socket alone, with fsync on. If the test is root's, an ordinary user runs it. Servers can be
// restarted, paused, and have their connections cut.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrMissing says that PostgreSQL is not installed here.
var ErrMissing = errors.New("postgresql: initdb and postgres are not installed (Debian: postgresql)")

// patience is how long a server may take to begin or to end.
const patience = time.Minute

// Server is one cluster and, most of the time, the process that serves it.
type Server struct {
	bin, dir string
	settings []string
	user     *syscall.Credential
	cmd      *exec.Cmd
	ended    chan struct{}
	made     atomic.Int64
}

// New makes a cluster and starts it; settings are such as "max_wal_size=64MB". Stop must be called.
func New(ctx context.Context, settings ...string) (*Server, error) {
	s := &Server{settings: settings}
	if err := s.find(); err != nil {
		return nil, err
	}
	var err error
	// Not t.TempDir: its parents are closed to others, and its names too long for a socket.
	if s.dir, err = os.MkdirTemp("", "pgtest-"); err != nil {
		return nil, err
	}
	if s.user != nil {
		err = os.Chown(s.dir, int(s.user.Uid), int(s.user.Gid))
	}
	if err == nil {
		// No sync here: nothing is there yet that could be lost.
		err = s.command(
			"initdb", "-D", s.data(), "-U", "test", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
			"--no-instructions",
		).Run()
	}
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("postgresql in %s: %w", s.dir, err), os.RemoveAll(s.dir))
	}
	return s, nil
}

// Start is New for one test, which is skipped where PostgreSQL is missing, and fails if
// HOSTLER_REQUIRE_LAB is set.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := New(t.Context(), settings...)
	Need(t, err)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Need ends a test whose server could not be started. It skips the test where PostgreSQL is
// missing, unless it is required.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing) && os.Getenv("HOSTLER_REQUIRE_LAB") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// find looks for the programs, and for a user that may run them: PostgreSQL refuses root.
func (s *Server) find() error {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return err
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(dirs, filepath.SplitList(os.Getenv("PATH"))...) {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			s.bin = dir
			break
		}
	}
	if s.bin == "" {
		return ErrMissing
	}
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, e1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, e2 := strconv.ParseUint(u.Gid, 10, 32)
		if e1 == nil && e2 == nil {
			s.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			return nil
		}
	}
	return errors.New("no ordinary user to run PostgreSQL")
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Dir is where the cluster lies; Log what the server said.
func (s *Server) Dir() string { return s.dir }

// Log is what the server has said so far.
func (s *Server) Log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.Env = s.dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	// A group of its own: Pause reaches the server's children too, and the terminal's signals do
	// not.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.user}
	return cmd
}

// Start starts the server and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=on", "-c",
		"full_page_writes=on", "-c", "shared_buffers=64MB",
		"-c", "max_connections=200"}
	for _, c := range s.settings {
		args = append(args, "-c", c)
	}
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.cmd, s.ended = cmd, ended
	go func() { // ends with the process, which Stop waits for
		_ = cmd.Wait()
		close(ended)
	}()
	for {
		err := s.try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("it ended: %s", tail(s.Log()))
		case <-ctx.Done():
			return errors.Join(err, s.Kill())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tail(text string) string { return text[max(0, len(text)-2000):] }

func (s *Server) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return s.Exec(ctx, "SELECT 1")
}

// DSN is the address of a database.
func (s *Server) DSN(database string) string {
	return "postgres://test@/" + url.PathEscape(database) + "?host=" + url.QueryEscape(s.dir)
}

// Exec runs statements in the database "postgres", as the superuser.
func (s *Server) Exec(ctx context.Context, statements ...string) error {
	c, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	for _, q := range statements {
		if _, err := c.Exec(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// Database makes an empty database and returns its address. It goes with the server.
func (s *Server) Database(t testing.TB) (dsn string) {
	t.Helper()
	name := fmt.Sprintf("d%d", s.made.Add(1))
	if err := s.Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.DSN(name)
}

// Cut ends all connections of programs to a database, as a network that breaks would, or an
// administrator.
func (s *Server) Cut(ctx context.Context) error {
	return s.Exec(
		ctx,
		"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
	)
}

// Pause stops the server at once, like a machine that hangs. Resume lets it go on.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

// signal signals the server and its children. A process that has ended already is no error.
func (s *Server) signal(sig syscall.Signal) error {
	// The children have sessions, and so groups, of their own.
	pids := append(children(s.cmd.Process.Pid), s.cmd.Process.Pid)
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// children lists a process's own.
func children(pid int) (out []int) {
	b, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil
	}
	for _, f := range strings.Fields(string(bytes.TrimSpace(b))) {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// Restart stops the server, breaking all connections, and starts it again.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.end(syscall.SIGINT); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Kill ends the server without warning, as a crash: it has to recover when it is started again.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

// end sends a signal and waits for the end.
func (s *Server) end(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(patience):
		_ = s.signal(syscall.SIGKILL)
		<-s.ended
		return errors.New("postgresql did not end by itself")
	}
}

// Stop ends the server and removes the cluster.
func (s *Server) Stop() error {
	err := s.Resume() // else it does not hear
	if e := s.end(syscall.SIGQUIT); e != nil {
		err = errors.Join(err, e)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
