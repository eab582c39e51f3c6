package agentcmd_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/agentcmd"
)

// TestMain runs the tests, or is the agent: so the tests have the real program, with the race
// detector in it.
func TestMain(m *testing.M) {
	// whose environment is empty
	if os.Getenv("HOSTLER_TEST_AGENT") != "" || len(os.Args) > 1 && (os.Args[1] == "reap" || os.Args[1] == "serve") {
		_ = os.Unsetenv("HOSTLER_TEST_AGENT")
		os.Exit(agentcmd.Main(os.Args[1:], "test", nil))
	}
	os.Exit(m.Run())
}

// program starts the agent, and ends it with the test.
func program(t testing.TB, prepare func(*exec.Cmd), args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "HOSTLER_TEST_AGENT=1")
	cmd.Stderr = os.Stderr
	if prepare != nil {
		prepare(cmd)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
	})
	return cmd
}

// streams joins two ends into one.
type streams struct {
	io.Reader
	io.WriteCloser
}

// overPipe returns a client of an agent on its standard streams.
func overPipe(t *testing.T, args ...string) compute.Conn {
	t.Helper()
	var s streams
	program(t, func(cmd *exec.Cmd) {
		s.WriteCloser, _ = cmd.StdinPipe()
		s.Reader, _ = cmd.StdoutPipe()
	}, append(append([]string{"serve"}, args...), "stdio")...)
	return closing(t, agent.New(s))
}

func closing(t *testing.T, c compute.Conn) compute.Conn {
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// overUnix returns a function that connects to an agent that stays.
func overUnix(t *testing.T, args ...string) func(*testing.T) compute.Conn {
	t.Helper()
	dir, err := os.MkdirTemp("", "guest") // a socket's name is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	name := filepath.Join(dir, "s")
	program(t, nil, append(append([]string{"serve", "--stay"}, args...), "unix:"+name)...)
	return func(t *testing.T) compute.Conn { return closing(t, agent.New(dialUnix(t, name))) }
}

func dialUnix(t testing.TB, name string) net.Conn {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("unix", name)
		if err == nil {
			return c
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
	}
}

// woken returns the same file with reads that deadlines can end.
func woken(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	out := os.NewFile(uintptr(fd), f.Name())
	t.Cleanup(func() { _ = out.Close() })
	return out
}

// kept is one end of a line that stays when a client closes it. Its reader is woken then, as that
// of a socket is.
type kept struct{ *os.File }

func (k kept) Close() error {
	_ = k.SetReadDeadline(time.Now())
	time.Sleep(20 * time.Millisecond)
	return k.SetReadDeadline(time.Time{})
}

// A character device: one client after the other, politely and not; the suite goes over a faster
// line in remote/agent.
func TestPort(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("port: the agent's ports are Linux's")
	}
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = ptmx.Close(), tty.Close() }()
	// as devices are that were never terminals; or what comes before the agent has done so is lost
	raw := exec.Command("stty", "raw", "-echo")
	raw.Stdin = tty
	if out, err := raw.CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	program(t, nil, "serve", "--stay", "port:"+tty.Name())
	ours := kept{woken(t, ptmx)}
	for i := range 3 {
		c := agent.New(agent.Attach(ours))
		says(t, c, fmt.Sprintln(i), "echo", fmt.Sprint(i))
		ctx, cancel := context.WithCancel(t.Context())
		cut := make(chan error, 1)
		go func() {
			_, err := c.Run(ctx, &compute.Command{Args: []string{"cat", "/dev/zero"}, Stdout: io.Discard})
			cut <- err
		}()
		time.Sleep(50 * time.Millisecond)
		if i == 1 {
			_ = ours.Close() // it just goes, in the middle of a flood
		} else {
			_ = c.Close()
		}
		cancel()
		if err := <-cut; err == nil {
			t.Error("cat has ended")
		}
		_ = c.Close()
	}
}

func TestConn(t *testing.T) {
	suite := func(name string, connect func(*testing.T) func(*testing.T) compute.Conn) {
		t.Run(name, func(t *testing.T) {
			open := connect(t)
			computetest.Conn(t, computetest.ConnOptions{Dir: t.TempDir(), Shell: true, New: open})
		})
	}
	suite("unix", func(t *testing.T) func(*testing.T) compute.Conn { return overUnix(t) })
	suite("pipe", func(t *testing.T) func(*testing.T) compute.Conn {
		return func(t *testing.T) compute.Conn { return overPipe(t) }
	})
}

// A listening socket that the agent was born with.
func TestServeDescriptor(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	program(t, func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{f} }, "serve", "fd:3")
	c := closing(t, agent.New(dialUnix(t, l.Addr().String())))
	says(t, c, "3\n", "echo", "3")
}

// says runs a command and compares what it writes.
func says(t *testing.T, c compute.Conn, want string, args ...string) {
	t.Helper()
	var out writer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	exit, err := c.Run(ctx, &compute.Command{Args: args, Stdout: &out})
	if err != nil || exit != (compute.Exit{}) || string(out) != want {
		t.Fatalf("%q: got %q %v %v, want %q", args, out, exit, err, want)
	}
}

type writer []byte

func (w *writer) Write(b []byte) (int, error) { *w = append(*w, b...); return len(b), nil }

// Without --stay the agent ends with its connection, and what it started with it; with it, another
// may come.
func TestStay(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{}, {"--stay"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			name := filepath.Join(dir, fmt.Sprint(len(args)))
			cmd := program(t, nil, append(append([]string{"serve"}, args...), "unix:"+name)...)
			c := agent.New(dialUnix(t, name))
			says(t, c, "a\n", "echo", "a")
			_ = c.Close()
			if len(args) == 0 {
				if err := cmd.Wait(); err != nil {
					t.Error(err)
				}
				return
			}
			c = agent.New(dialUnix(t, name))
			defer func() { _ = c.Close() }()
			says(t, c, "b\n", "echo", "b")
		})
	}
}
