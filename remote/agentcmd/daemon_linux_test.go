package agentcmd_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/agentcmd"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

const patience = time.Minute

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// daemonOf is the name of a test's own daemon, which has ended when the test has.
func daemonOf(t *testing.T) (option string, gone func() bool) {
	t.Helper()
	name := t.Name() + strconv.Itoa(os.Getpid())
	socket, err := agentcmd.SocketOf(name)
	if err != nil {
		t.Fatal(err)
	}
	gone = func() bool { _, err := os.Lstat(socket); return errors.Is(err, os.ErrNotExist) }
	t.Cleanup(func() { // before it the connections are closed
		until(t, "the daemon's end", gone)
		_ = os.Remove(socket + ".lock")
	})
	return "--daemon=" + name, gone
}

// text is a buffer that may be read while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

var errGone = &compute.Error{Kind: compute.ErrLost, Err: errors.New("the test leaves")}

// leave starts a command that is to be held and goes away as soon as it has begun. It returns what
// it saw of it.
func leave(t *testing.T, c compute.Conn, cmd *compute.Command, hold compute.Hold) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	begun := false
	hold.Begun = func() { begun = true; cancel(errGone) }
	cmd.Hold = &hold
	late := time.AfterFunc(patience, func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	_, err := c.Run(ctx, cmd)
	if !begun {
		t.Fatalf("it has not begun: %v", err)
	}
	_ = c.Close()
}

// What is held goes on when the connection by which it was asked for is gone, and its process; the
// next connection finds it. Then the daemon ends.
func TestDaemonKeeps(t *testing.T) {
	option, gone := daemonOf(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "echo one; cat " + fifo + "; echo two >&2; exit 7"
	leave(
		t, overPipe(t, option), &compute.Command{Args: []string{"sh", "-c", script}, Stdout: &text{}, Stderr: &text{}},
		compute.Hold{Run: "kept", Keep: true},
	)
	c := overPipe(t, option)
	all, err := c.(provider.DetachedRuns).Held(t.Context())
	if err != nil || len(all) != 1 || all[0].Run != "kept" || all[0].Ended {
		t.Fatalf("held: %+v, %v", all, err)
	}
	var out, errs text
	type end struct {
		exit compute.Exit
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		exit, err := c.Run(
			t.Context(),
			&compute.Command{Stdout: &out, Stderr: &errs, Hold: &compute.Hold{Run: "kept", Attach: true, Out: -1, Err: -1}},
		)
		ended <- end{exit, err}
	}()
	until(t, "what it wrote before", func() bool { return out.String() == "one\n" })
	if err := os.WriteFile(fifo, []byte("between\n"), 0); err != nil {
		t.Fatal(err)
	}
	if e := <-ended; e.err != nil || e.exit.Code != 7 || out.String() != "one\nbetween\n" || errs.String() != "two\n" {
		t.Errorf(
			"e.exit = %+v e.err = %v, out = %q, errs = %q"+
				"; want no error and e.exit.Code == 7 and out.String() == \"one\\nbetween\\n\" and "+
				"errs.String() == \"two\\n\"",
			e.exit, e.err, out.String(), errs.String(),
		)
	}
	if gone() {
		t.Error("the daemon has ended while somebody is there")
	}
}

// A daemon is not known as a descendant of the command by which somebody came to start it, and so
// does not end when that is told to.
func TestDaemonUnmarked(t *testing.T) {
	option, _ := daemonOf(t)
	var s streams
	program(t, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Environ(), process.CommandMark+"=of a way in")
		s.WriteCloser, _ = cmd.StdinPipe()
		s.Reader, _ = cmd.StdoutPipe()
	}, "serve", option, "stdio")
	c := closing(t, agent.New(s))
	var out text
	if exit, err := c.Run(
		t.Context(), &compute.Command{Args: []string{"sh", "-c", `tr '\0' '\n' </proc/$PPID/environ`}, Stdout: &out},
	); err != nil || exit != (compute.Exit{}) {
		t.Fatalf("exit = %v, err = %v; want no error and exit == (compute.Exit{})", exit, err)
	}
	if got := out.String(); !strings.Contains(got, "PATH=") || strings.Contains(got, process.CommandMark) {
		t.Errorf("its environment:\n%s", got)
	}
}

// synced brings a tree into a workspace of a connection.
func synced(t *testing.T, c compute.Conn, waiting func(string)) (*send.Session, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree, err := scan.Scan(t.Context(), scan.Options{Root: dir, Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := send.Begin(ctx, c, send.Options{Key: "tree", Who: "a test", State: filepath.Join(t.TempDir(), "state"), Waiting: waiting})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	res, err := s.Sync(ctx, tree)
	if err != nil {
		t.Fatal(err)
	}
	return s, res.Dir
}

// A run that is held has its workspace until it ends. One that only waits for somebody makes room
// for the next at once.
func TestDaemonWorkspace(t *testing.T) {
	option, _ := daemonOf(t)
	work := "--work=" + filepath.Join(t.TempDir(), "spaces")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	connect := func() compute.Conn { return overPipe(t, option, work) }
	pid := func(dir string) int {
		var n int
		until(t, "the command's number", func() bool {
			b, _ := os.ReadFile(filepath.Join(dir, "pid"))
			n, _ = strconv.Atoi(strings.TrimSpace(string(b)))
			return bytes.HasSuffix(b, []byte("\n"))
		})
		return n
	}
	begin := func(hold compute.Hold) int {
		c := connect()
		s, dir := synced(t, c, nil)
		_ = os.Remove(filepath.Join(dir, "pid"))
		leave(t, c, &compute.Command{Args: []string{"sh", "-c", "cat f; echo $$ >pid; cat " + fifo + " >kept"}, Workspace: s.Token()}, hold)
		return pid(dir)
	}
	n := begin(compute.Hold{Run: "lost", Grace: time.Hour})
	next, _ := synced(t, connect(), nil) // it is ended, and nobody waits for its grace
	until(t, "its end", func() bool { return syscall.Kill(n, 0) != nil })
	_ = next.Close()

	begin(compute.Hold{Run: "kept", Keep: true})
	var waited string
	_, dir := synced(t, connect(), func(who string) {
		if waited = who; os.WriteFile(fifo, []byte("to its end\n"), 0) != nil {
			t.Error("nobody reads the fifo")
		}
	})
	if waited != "a test" {
		t.Errorf("it has waited for %q", waited)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "kept")); string(b) != "to its end\n" {
		t.Errorf("what it wrote: %q, %v", b, err)
	}
	c := connect()
	exit, err := c.Run(t.Context(), &compute.Command{Hold: &compute.Hold{Run: "kept", Attach: true, Out: -1, Err: -1}})
	if err != nil || exit != (compute.Exit{}) {
		t.Errorf("how it ended: %+v %v", exit, err)
	}
	exit, err = c.Run(t.Context(), &compute.Command{Hold: &compute.Hold{Run: "lost", Attach: true, Out: -1, Err: -1}})
	if err != nil || exit.Signal != "KILL" {
		t.Errorf("how the one that was lost ended: %+v %v", exit, err)
	}
}
