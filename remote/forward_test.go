package remote_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote"
	"github.com/hostler-project/hostler/remote/process"
)

func TestParseForward(t *testing.T) {
	for s, want := range map[string]string{
		"8080:localhost:80":                 "tcp 127.0.0.1:8080 tcp localhost:80",
		"127.0.0.1:0:host:22":               "tcp 127.0.0.1:0 tcp host:22",
		"*:8080:host:80":                    "tcp :8080 tcp host:80",
		":8080:host:80":                     "tcp :8080 tcp host:80",
		"8080":                              "tcp 127.0.0.1:8080 tcp localhost:8080",
		"8080:80":                           "tcp 127.0.0.1:8080 tcp localhost:80",
		"/tmp/a.sock:/var/run/b.sock":       "unix /tmp/a.sock unix /var/run/b.sock",
		"/tmp/a.sock:host:80":               "unix /tmp/a.sock tcp host:80",
		"8080:/var/run/b.sock":              "tcp 127.0.0.1:8080 unix /var/run/b.sock",
		"localhost:8080:/var/run/b.sock":    "tcp localhost:8080 unix /var/run/b.sock",
		"./a.sock:/b":                       "unix ./a.sock unix /b",
		"[::1]:8080:[fe80::1%eth0]:80":      "tcp [::1]:8080 tcp [fe80::1%eth0]:80",
		"8080:[::1]:80":                     "tcp 127.0.0.1:8080 tcp [::1]:80",
		"":                                  "",
		"x":                                 "",
		"8080:":                             "",
		"8080::80":                          "",
		"80:host:0":                         "",
		"80:host:http":                      "",
		"70000:host:80":                     "",
		"a:b:c:d:1":                         "",
		"[::1:80:host:80":                   "",
		"/sock":                             "",
		"bind:80:/a:host:80":                "",
		"/a:80":                             "",
		"8080:localhost:80:":                "",
		"[::1]x:80:host:80":                 "",
		"/tmp/with:colon/sock:localhost:80": "",
	} {
		f, err := remote.ParseForward(s, true)
		got := ""
		if err == nil {
			got = strings.Join([]string{f.ListenNetwork, f.Listen, f.DialNetwork, f.Dial}, " ")
		} else if !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%q: %v is not ErrInvalid", s, err)
		}
		if got != want || err == nil && !f.Reverse {
			t.Errorf("%q: got %q (%v), want %q", s, got, err, want)
		}
	}
}

// echo answers in capitals, once it has read all.
func echo(t *testing.T, network, address string) string {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if b, err := io.ReadAll(c); err == nil {
					_, _ = io.WriteString(c, strings.ToUpper(string(b)))
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func TestForward(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, reverse := range []bool{false, true} {
		for _, from := range []string{"tcp", "unix"} {
			for _, to := range []string{"tcp", "unix"} {
				t.Run(strings.Join([]string{from, to, map[bool]string{true: "back", false: "there"}[reverse]}, "-"), func(t *testing.T) {
					dir := t.TempDir()
					at := map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(dir, "l")}[from]
					dial := echo(t, to, map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(dir, "d")}[to])
					conn := process.New(process.Options{})
					defer func() { _ = conn.Close() }()
					ctx, cancel := context.WithCancel(t.Context())
					ready, done := make(chan net.Addr, 1), make(chan error, 1)
					spec := remote.ForwardSpec{
						Reverse: reverse, ListenNetwork: from, Listen: at, DialNetwork: to, Dial: dial,
						Listening: func(a net.Addr) { ready <- a },
					}
					go func() { done <- remote.Forward(ctx, conn, spec, slog.New(slog.DiscardHandler)) }()
					var addr net.Addr
					select {
					case addr = <-ready:
					case err := <-done:
						t.Fatal(err)
					}
					// stays open: the end of ctx closes it
					open, err := net.Dial(from, addr.String())
					if err != nil {
						t.Fatal(err)
					}
					c, err := net.Dial(from, addr.String())
					if err != nil {
						t.Fatal(err)
					}
					text := strings.Repeat("half-closed ", 50_000)
					go func() {
						_, _ = io.WriteString(c, text)
						_ = c.(interface{ CloseWrite() error }).CloseWrite()
					}()
					if b, err := io.ReadAll(c); err != nil || string(b) != strings.ToUpper(text) {
						t.Errorf("%d bytes came back, %v", len(b), err)
					}
					_ = c.Close()
					cancel()
					if err := <-done; !errors.Is(err, context.Canceled) {
						t.Errorf("Forward: %v", err)
					}
					if _, err := open.Read(make([]byte, 1)); err == nil {
						t.Error("a connection is open after the end")
					}
					_ = open.Close()
				})
			}
		}
	}
}

func TestForwardRefused(t *testing.T) {
	conn := process.New(process.Options{})
	taken := echo(t, "tcp", "127.0.0.1:0")
	spec := remote.ForwardSpec{ListenNetwork: "tcp", Listen: taken, DialNetwork: "tcp", Dial: "127.0.0.1:1"}
	log := slog.New(slog.DiscardHandler)
	if err := remote.Forward(t.Context(), conn, spec, log); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("a port in use: got %v, want ErrConflict", err)
	}
	if err := remote.Forward(t.Context(), liar{Conn: conn}, spec, log); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a connection that cannot: got %v, want ErrInvalid", err)
	}
	// One that nobody answers on the other side is closed, and the next is tried; a lost connection
	// ends it.
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	spec.Listen, spec.Listening = "127.0.0.1:0", func(a net.Addr) { ready <- a }
	refused := make(chan error, 3)
	spec.Failed = func(err error) { refused <- err }
	go func() { done <- remote.Forward(t.Context(), conn, spec, log) }()
	addr := <-ready
	for i := range 3 {
		if i == 2 {
			_ = conn.Close()
		}
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(c); len(b) != 0 {
			t.Errorf("read %q", b)
		}
		_ = c.Close()
		if err := <-refused; err == nil {
			t.Error("nothing is told of a connection that leads nowhere")
		}
	}
	if err := <-done; !errors.Is(err, compute.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
}

// strained is a computer whose listeners cannot accept at first.
type strained struct {
	compute.Conn
	errs []error
}

func (s *strained) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, address)
	return &strainedListener{Listener: l, errs: s.errs}, err
}

type strainedListener struct {
	net.Listener
	errs []error
}

func (l *strainedListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return l.Listener.Accept()
}

// Too many open files for a moment, or one who hung up too early, do not end a forward; what is
// broken does.
func TestForwardGoesOn(t *testing.T) {
	to := echo(t, "tcp", "127.0.0.1:0")
	for _, c := range []struct {
		name string
		errs []error
		ends bool
	}{
		{"passing", []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.EMFILE}, false},
		{"broken", []error{syscall.EMFILE, syscall.EBADF}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			addr, done := make(chan net.Addr, 1), make(chan error, 1)
			spec := remote.ForwardSpec{
				Reverse: true, ListenNetwork: "tcp", Listen: "127.0.0.1:0", DialNetwork: "tcp", Dial: to,
				Listening: func(a net.Addr) { addr <- a },
			}
			go func() { done <- remote.Forward(ctx, &strained{errs: c.errs}, spec, slog.New(slog.DiscardHandler)) }()
			at := <-addr
			if c.ends {
				if err := <-done; !errors.Is(err, syscall.EBADF) {
					t.Errorf("got %v", err)
				}
				return
			}
			nc, err := net.Dial("tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = nc.Close() }()
			_, _ = io.WriteString(nc, "hello")
			_ = nc.(*net.TCPConn).CloseWrite()
			if b, err := io.ReadAll(nc); string(b) != "HELLO" {
				t.Errorf("got %q, %v", b, err)
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
}
