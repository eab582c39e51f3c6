package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// fake is a computer in memory: the first argument says what a command does.
type fake struct {
	running atomic.Int64  // commands that run
	ended   atomic.Int64  // commands that ended because their context did
	fail    error         // what "fail" returns
	closed  chan struct{} // closed by Close

	mu    sync.Mutex
	put   []byte // the last archive
	asked *compute.Command
}

func newFake() *fake { return &fake{closed: make(chan struct{})} }

func (f *fake) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	f.running.Add(1)
	defer f.running.Add(-1)
	f.mu.Lock()
	f.asked = cmd
	f.mu.Unlock()
	if len(cmd.Args) == 0 {
		return compute.Exit{}, nil
	}
	switch cmd.Args[0] {
	case "cat":
		io.Copy(cmd.Stdout, cmd.Stdin)
	case "echo":
		fmt.Fprint(cmd.Stdout, cmd.Args[1])
		fmt.Fprint(cmd.Stderr, cmd.Args[2])
	case "zeros", "small":
		n, _ := strconv.Atoi(cmd.Args[1])
		p := make([]byte, 64<<10)
		if cmd.Args[0] == "small" {
			p = p[:3]
		}
		for n > 0 {
			k, err := cmd.Stdout.Write(p[:min(n, len(p))])
			if err != nil {
				return compute.Exit{Signal: "PIPE"}, nil
			}
			n -= k
		}
	case "exit":
		n, _ := strconv.Atoi(cmd.Args[1])
		return compute.Exit{Code: n}, nil
	case "killed":
		return compute.Exit{Signal: "KILL"}, nil
	case "fail":
		return compute.Exit{}, f.fail
	case "wait":
		if cmd.Stdout != nil {
			fmt.Fprintln(cmd.Stdout, "waiting")
		}
		<-ctx.Done()
		f.ended.Add(1)
		return compute.Exit{}, ctx.Err()
	case "stuck": // does not end when told to
		<-f.closed
	case "signals":
		for {
			select {
			case s := <-cmd.Signals:
				fmt.Fprintln(cmd.Stdout, s)
				if s == "TERM" {
					return compute.Exit{Signal: s}, nil
				}
			case s := <-cmd.Resize:
				fmt.Fprintln(cmd.Stdout, s.Rows, s.Cols)
			case <-ctx.Done():
				return compute.Exit{}, ctx.Err()
			}
		}
	}
	return compute.Exit{}, nil
}

func (f *fake) Put(ctx context.Context, dir string, tar io.Reader) error {
	if dir == "/refused" {
		return &compute.Error{Op: "fake.Put", Kind: compute.ErrDenied, Err: errors.New("not there")}
	}
	p, err := io.ReadAll(tar)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put = p
	return err
}

func (f *fake) Get(ctx context.Context, path string, w io.Writer) error {
	n, _ := strconv.Atoi(path)
	_, err := w.Write(make([]byte, n))
	return err
}

func (f *fake) Close() error {
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	return nil
}

func (f *fake) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (f *fake) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var l net.ListenConfig
	return l.Listen(ctx, network, address)
}

// plain hides a Conn's abilities.
type plain struct{ compute.Conn }

// pair returns the two ends of a unix stream.
func pair(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return ends[0], ends[1]
}

// connect serves conn and returns a client of it. served gets what Serve returned.
func connect(t testing.TB, conn compute.Conn) (c *agent.Client, served chan error) {
	t.Helper()
	a, b := pair(t)
	return serve(t, conn, a, b)
}

func serve(t testing.TB, conn compute.Conn, a, b io.ReadWriteCloser) (c *agent.Client, served chan error) {
	served = make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		served <- agent.Serve(ctx, b, conn, agent.Options{})
		close(done)
	}()
	c = agent.New(a)
	t.Cleanup(func() {
		c.Close()
		cancel()
		<-done
	})
	return c, served
}

// leaks fails the test when goroutines are left that were not there before; call it first.
func leaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
}

// soon fails the test unless ok becomes true.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: not within 30 s", what)
}
