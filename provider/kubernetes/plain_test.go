package kubernetes_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
)

// TestConnByExec runs the suite on exec alone.
func TestConnByExec(t *testing.T) {
	o := site(t)
	o.Way = "exec"
	p := open(t, o)
	if _, err := p.List(t.Context()); err != nil { // begins the watch, as in TestConn
		t.Fatal(err)
	}
	ready(t, p, "suite-1")
	const nothing, status, ignored = "there is nothing of ours in the pod", "exec tells a status, and no signal", "the lab starts commands with INT and QUIT ignored: TestExec has the others"
	computetest.Conn(t, computetest.ConnOptions{
		New: func(t *testing.T) compute.Conn {
			c, err := p.Connect(t.Context(), "suite-1")
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Dir: t.TempDir(), Shell: true, Marked: true, Huge: 1 << 20, Late: late, Skip: map[string]string{
			"DeathBySignal": status, "DeadlySignal": status, "Signals": ignored, "DescendantsSignal": ignored,
			"TerminalSignal": ignored, "ControlC": ignored,
			"DialListenTCP": nothing, "DialListenUnix": nothing, "DialRefused": nothing,
		},
	})
}

// TestExec has commands by exec alone end as they do, be told signals, and have their directory,
// environment and files.
func TestExec(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Way = "exec"
	p := open(t, o)
	conn, dir := ready(t, p, "suite-1"), t.TempDir()
	for code := range 3 {
		if exit, err := conn.Run(
			t.Context(), &compute.Command{Args: []string{"sh", "-c", fmt.Sprint("exit ", code)}},
		); err != nil || exit.Code != code {
			t.Errorf("exit %d: %+v %v", code, exit, err)
		}
	}
	if _, err := conn.Run(t.Context(), &compute.Command{Args: []string{"no-such-program"}}); !errors.Is(err, compute.ErrNoCommand) {
		t.Errorf("no program: %v", err)
	}
	if _, err := conn.Run(t.Context(), &compute.Command{Args: []string{"true"}, User: "nobody"}); !errors.Is(err, compute.ErrCannotStart) {
		t.Errorf("as another user: %v", err)
	}
	var out bytes.Buffer
	_, err := conn.Run(
		t.Context(),
		&compute.Command{
			Args: []string{"sh", "-c", `echo "$PWD $WORD"; cat`}, Dir: dir, Env: map[string]string{"WORD": "a b"},
			Stdin: strings.NewReader("in"), Stdout: &out,
		},
	)
	if got := out.String(); err != nil || got != dir+" a b\nin" {
		t.Errorf("directory and environment: %q %v", got, err)
	}
	var tree bytes.Buffer
	w := tar.NewWriter(&tree)
	bad := errors.Join(
		w.WriteHeader(&tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o640, Size: 4}),
		second(w.Write([]byte("data"))), w.Close(),
	)
	if bad != nil {
		t.Fatal(bad)
	}
	if err := conn.Put(t.Context(), dir, bytes.NewReader(tree.Bytes())); err != nil {
		t.Fatal(err)
	}
	// the lab's pods have this machine's files
	if got, err := os.ReadFile(filepath.Join(dir, "f")); string(got) != "data" {
		t.Errorf("the file is %q: %v", got, err)
	}
	t.Run("Signals", func(t *testing.T) {
		for _, sig := range []string{"TERM", "HUP", "USR1"} {
			signalled(t, conn, sig, func() {})
		}
	})
}

// signalled runs a command, and sends it a signal that it waits for.
func signalled(t *testing.T, conn compute.Conn, sig string, before func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, signals, done := &lines{first: make(chan struct{})}, make(chan string, 1), make(chan compute.Exit, 1)
	go func() {
		exit, err := conn.Run(
			ctx,
			&compute.Command{
				Args:   []string{"sh", "-c", "trap 'exit 7' " + sig + "; echo here; while :; do sleep 0.1; done"},
				Stdout: out, Signals: signals,
			},
		)
		if err != nil {
			t.Errorf("%s: err = %v; want no error", sig, err)
		}
		done <- exit
	}()
	select {
	case <-out.first:
		before()
		signals <- sig
	case <-ctx.Done():
	}
	if exit := <-done; exit != (compute.Exit{Code: 7}) {
		t.Errorf("%s: exit = %+v; want exit == (compute.Exit{Code: 7})", sig, exit)
	}
}

// TestExecSignalAgain has a signal come to the command though what carries it is refused at first.
func TestExecSignalAgain(t *testing.T) {
	t.Parallel()
	o, gate := site(t), lab.Gate(t)
	o.Way, o.Kubeconfig = "exec", gate.Config
	conn := ready(t, open(t, o), "suite-1")
	signalled(t, conn, "TERM", func() { gate.Refuse("exec pods", 4) })
}

// TestExecIsWhole has no end of an output be lost, of whatever length, whether the command's input
// ended before it, with it or not at all. Without the script's part in it the lab's API server lost
// one of ten that were short, and one of three that were long.
func TestExecIsWhole(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Way = "exec"
	conn := ready(t, open(t, o), "suite-1")
	open, typed := io.Pipe()
	defer typed.Close()
	for i := range 10 {
		for _, size := range []int{0, 3, 5000, 300_000} {
			for name, in := range map[string]io.Reader{"none": nil, "ended": strings.NewReader("word\n"), "open": open} {
				var out, said bytes.Buffer
				exit, err := conn.Run(t.Context(), &compute.Command{
					Args:  []string{"sh", "-c", `head -c "$1" /dev/zero; head -c "$1" /dev/zero >&2; exit 3`, "sh", strconv.Itoa(size)},
					Stdin: in, Stdout: &out, Stderr: &said,
				})
				if err != nil || exit.Code != 3 || out.Len() != size || said.Len() != size {
					t.Errorf("%d: %d bytes, input %s: %d and %d came, %+v %v", i, size, name, out.Len(), said.Len(), exit, err)
				}
			}
		}
	}
}

// laggard is a writer that begins its writes at once and takes a while for them.
type laggard struct {
	began chan struct{} // closed when one has begun
	once  sync.Once
	under atomic.Int32 // writes that are under way
	n     atomic.Int32 // writes so far
}

func (w *laggard) Write(b []byte) (int, error) {
	w.under.Add(1)
	defer w.under.Add(-1)
	w.n.Add(1)
	w.once.Do(func() { close(w.began) })
	time.Sleep(time.Second) // a writer that is slow to take what comes
	return len(b), nil
}

// TestExecLeaves has the caller's writers be his own again when a command that was given up has
// returned.
func TestExecLeaves(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Way = "exec"
	conn := ready(t, open(t, o), "suite-1")
	ctx, cancel := context.WithCancel(t.Context())
	out, said := &laggard{began: make(chan struct{})}, &laggard{began: make(chan struct{})}
	go func() {
		<-out.began
		<-said.began
		cancel()
	}()
	_, err := conn.Run(
		ctx,
		&compute.Command{Args: []string{"sh", "-c", "while :; do echo out; echo said >&2; done"}, Stdout: out, Stderr: said},
	)
	n := out.n.Load() + said.n.Load()
	if under := out.under.Load() + said.under.Load(); under != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d writes are under way: %v", under, err)
	}
	_ = conn.Close()
	if more := out.n.Load() + said.n.Load() - n; more != 0 {
		t.Errorf("%d more writes came", more)
	}
}

// TestExecCut has a command whose node's server is gone be lost, and no success, which is what the
// API server says.
func TestExecCut(t *testing.T) {
	o := site(t)
	o.Way = "exec"
	conn := ready(t, open(t, o), "suite-1")
	done := make(chan error, 2)
	for _, tty := range []*compute.Size{nil, {Rows: 24, Cols: 80}} {
		in, typed := io.Pipe() // the commands end with it, when their server does
		defer typed.Close()
		out := &lines{first: make(chan struct{})}
		go func() {
			exit, err := conn.Run(
				t.Context(),
				&compute.Command{Args: []string{"sh", "-c", "echo here; cat"}, TTY: tty, Stdin: in, Stdout: out},
			)
			if !errors.Is(err, compute.ErrLost) {
				err = fmt.Errorf("terminal %v: %+v %w", tty != nil, exit, err)
			} else {
				err = nil
			}
			done <- err
		}()
		<-out.first
	}
	lab.Stop(t, "exec")
	if err := errors.Join(<-done, <-done); err != nil {
		t.Error(err)
	}
	if err := lab.Up(); err != nil {
		t.Fatal(err)
	}
	computetest.Eventually(t, "commands run again", func() error {
		_, err := conn.Run(t.Context(), &compute.Command{Args: []string{"true"}})
		return err
	})
}
