package agent_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// wire is a hostile peer: it says what it was given, takes whatever comes, and ends.
type wire struct {
	r    *bytes.Reader
	once sync.Once
	done chan struct{}
}

func newWire(p []byte) *wire { return &wire{r: bytes.NewReader(p), done: make(chan struct{})} }

func (w *wire) Read(p []byte) (int, error)  { return w.r.Read(p) }
func (w *wire) Write(p []byte) (int, error) { return len(p), nil }
func (w *wire) Close() error                { w.once.Do(func() { close(w.done) }); return nil }

// frame builds one.
func frame(kind, ch byte, id uint32, body string) string {
	n := len(body)
	return string([]byte{
		kind | ch<<6, byte(n >> 16), byte(n >> 8), byte(n), byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id),
	}) + body
}

const (
	greeting = "HsAg\x00\x03\x00\x00"
	tooLong  = 20 * time.Second
)

// within fails the test if f takes so long that it must be hanging.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(tooLong):
		t.Fatal("it hangs")
	}
}

// limited is a computer without network and with commands that always end.
type limited struct{ *fake }

func (l limited) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if cmd.Stdin != nil && cmd.Stdout != nil {
		io.Copy(cmd.Stdout, cmd.Stdin)
	}
	for range len(cmd.Args) {
		select {
		case <-cmd.Signals:
		case <-cmd.Resize:
		case <-ctx.Done():
			return compute.Exit{}, ctx.Err()
		default:
		}
	}
	return compute.Exit{Code: len(cmd.Args)}, nil
}

func (limited) Facts(context.Context) (compute.Facts, error) {
	return compute.Facts{OS: "linux", Cores: 2, Tools: map[string]string{"git": "/usr/bin/git"}}, nil
}

func (limited) Usage(context.Context) (compute.Usage, error) {
	return compute.Usage{CPU: 1, Processes: 3}, nil
}

func (limited) Get(_ context.Context, path string, w io.Writer) error {
	_, err := io.WriteString(w, strings.Repeat(path, 1000))
	return err
}

func (limited) Dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	go func() { io.Copy(b, b); b.Close() }()
	return a, nil
}

// chatty is a listener to which the same client comes again and again.
type chatty struct{ left chan bool }

func (l chatty) Accept() (net.Conn, error) {
	if _, ok := <-l.left; !ok {
		return nil, net.ErrClosed
	}
	a, b := net.Pipe()
	go func() { b.Write([]byte("hello")); b.Close() }()
	return a, nil
}
func (l chatty) Close() error   { return nil }
func (l chatty) Addr() net.Addr { return &net.UnixAddr{Name: "chatty"} }

func (limited) Listen(context.Context, string, string) (net.Listener, error) {
	l := chatty{make(chan bool, 20)}
	for range 20 {
		l.left <- true
	}
	close(l.left)
	return l, nil
}

func FuzzServe(f *testing.F) {
	run := "\x01\x07\x01\x04true\x00\x00\x00"
	f.Add(greeting + frame(1, 0, 1, run))
	f.Add(greeting + frame(1, 0, 1, run) + frame(2, 0, 1, "input") + frame(3, 0, 1, "") + frame(4, 1, 1, "\x00\x01\x00\x00"))
	f.Add(greeting + frame(1, 0, 1, run) + frame(6, 0, 1, "INT") + frame(7, 0, 1, "\x05\x06") + frame(8, 0, 1, "") + frame(8, 0, 1, ""))
	f.Add(greeting + frame(1, 0, 1, "\x02\x02/d") + frame(2, 0, 1, "tar") + frame(3, 0, 1, "") + frame(1, 0, 3, "\x03\x02/d"))
	f.Add(greeting + frame(1, 0, 1, "\x04\x03tcp\x01a") + frame(2, 0, 1, "x") + frame(5, 1, 1, "") + frame(3, 0, 1, ""))
	f.Add(
		greeting + frame(1, 0, 1, "\x05\x03tcp\x01a") + frame(4, 1, 1, "\x00\x00\x00\x10") + frame(2, 0, 2, "x") + frame(8, 0, 2, "") + frame(8, 0, 1, ""),
	)
	f.Add(greeting + frame(1, 0, 1, "\x06") + frame(1, 0, 3, "\x07") + frame(1, 0, 5, "\x08") + frame(8, 0, 3, ""))
	f.Add("HsAg\x00\x09\x00\x00")
	f.Add("GET / HTTP/1.1\r\n\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		within(t, func() {
			agent.Serve(context.Background(), newWire([]byte(in)), limited{newFake()}, agent.Options{Streams: 64})
		})
	})
}

func FuzzClient(f *testing.F) {
	f.Add(greeting + frame(2, 1, 1, "out") + frame(2, 2, 1, "err") + frame(11, 0, 1, "\x00\x05\x00\x00"))
	f.Add(greeting + frame(
		11, 0, 1, "\x01\x01o\x01i\x06failed\x01h\x02\x01t\x00\x00\x00",
	) + frame(11, 0, 3, "\x00\x00\x04KILL\x0dout of memory"))
	f.Add(greeting + frame(11, 0, 3, "\x00\x00\x00\x00") + frame(2, 1, 5, "tar") + frame(11, 0, 5, "\x00\x00\x00\x00"))
	f.Add(
		greeting + frame(9, 0, 7, "\x01a") + frame(2, 1, 7, "x") + frame(3, 1, 7, "") + frame(9, 0, 9, "\x01a") + frame(10, 0, 9, "\x00\x00\x00\x02\x01b") + frame(2, 1, 2, "y"),
	)
	f.Add(greeting + frame(4, 0, 1, "\x00\x10\x00\x00") + frame(5, 0, 1, "") + frame(4, 0, 1, "\xff\xff\xff\xff"))
	f.Add(
		greeting + frame(
			9, 0, 11, "\x0c\x02os\x05linux\x01a\x01b",
		) + frame(11, 0, 11, "\x00\x00\x00\x00") + frame(9, 0, 13, "\x08\x03cpu\x03-12") + frame(11, 0, 15, "\x00\x00\x00\x00"),
	)
	f.Add("bash: no\n")
	f.Fuzz(func(t *testing.T, in string) {
		within(t, func() {
			w := newWire([]byte(in))
			c := agent.New(w)
			defer c.Close()
			ctx := context.Background()
			var wg sync.WaitGroup
			wg.Go(func() {
				c.Run(ctx, &compute.Command{Args: []string{"a"}, Stdin: strings.NewReader("in"), Stdout: io.Discard, Stderr: io.Discard})
			})
			wg.Go(func() { c.Put(ctx, "/d", strings.NewReader("tar")) })
			wg.Go(func() { c.Get(ctx, "/d", io.Discard) })
			wg.Go(func() { c.Facts(ctx) })
			wg.Go(func() { c.Usage(ctx) })
			wg.Go(func() { c.Ping(ctx) })
			wg.Go(func() {
				if nc, err := c.Dial(ctx, "tcp", "a:1"); err == nil {
					nc.Write([]byte("x"))
					io.Copy(io.Discard, nc)
					nc.Close()
				}
			})
			wg.Go(func() {
				if l, err := c.Listen(ctx, "tcp", "a:1"); err == nil {
					for {
						nc, err := l.Accept()
						if err != nil {
							break
						}
						nc.Close()
					}
					l.Close()
				}
			})
			wg.Wait()
		})
	})
}

// A peer that sends without credit, in tiny pieces, or without end, cannot make memory grow.
func TestHostileBytesStayOutside(t *testing.T) {
	for name, c := range map[string]struct{ frames, text string }{
		"without credit":    {strings.Repeat(frame(2, 1, 1, strings.Repeat("x", 32<<10)), 5), "credit"},
		"too long":          {frame(2, 1, 1, strings.Repeat("x", 70<<10)), "data frame"},
		"after its end":     {frame(3, 1, 1, "") + frame(2, 1, 1, "x"), "after its end"},
		"on the wrong side": {frame(2, 0, 1, "x"), "channel 0"},
		"never opened":      {frame(2, 1, 101, "x"), "never opened"},
		"much credit":       {strings.Repeat(frame(4, 0, 1, "\x00\xff\xff\xff"), 2), "credit"},
		"an open":           {frame(1, 0, 2, "x"), "opened"},
		"a long control":    {frame(11, 0, 1, strings.Repeat("x", 70<<10)), "a frame of"},
		"a bad result":      {frame(11, 0, 1, "\x00\xff"), "result"},
		"no such kind":      {frame(60, 0, 1, ""), "kind 60"},
	} {
		t.Run(name, func(t *testing.T) {
			leaks(t)
			a, b := pair(t)
			go io.Copy(io.Discard, b)
			c1 := agent.New(a)
			defer b.Close()
			defer c1.Close()
			stuck := writerFunc(func(p []byte) (int, error) { <-c1.Done(); return len(p), nil })
			go func() {
				time.Sleep(10 * time.Millisecond) // after the request
				io.WriteString(b, greeting+c.frames)
			}()
			stdin, never := io.Pipe()
			defer never.Close()
			_, err := c1.Run(t.Context(), &compute.Command{Args: []string{"x"}, Stdin: stdin, Stdout: stuck})
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}
