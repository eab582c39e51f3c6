package sshserve_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/remote/sshserve"
)

// bare is a connection into a computer that has no program for SFTP.
type bare struct{ compute.Conn }

func (b bare) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if len(cmd.Args) > 0 && cmd.Args[len(cmd.Args)-1] == "look" {
		return compute.Exit{Code: 127}, nil
	}
	return b.Conn.Run(ctx, cmd)
}

func (b bare) Unwrap() compute.Conn { return b.Conn }

// pair are the ends of a stream that holds a little.
func pair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return here, there
}

// dial logs in, and returns the client, its home, and how serving ended.
func dial(t *testing.T, ctx context.Context, home string, plain bool) (*ssh.Client, <-chan error) {
	t.Helper()
	var conn compute.Conn = process.New(process.Options{Dir: home})
	t.Cleanup(func() { _ = conn.Close() })
	if plain {
		conn = bare{conn}
	}
	_, secret, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	here, there := pair(t)
	done := make(chan error, 1)
	go func() {
		done <- sshserve.Serve(
			ctx, there,
			sshserve.Options{Conn: conn, Key: key, User: "me", Env: map[string]string{"HOME": home, "SHELL": "/bin/sh", "OURS": "1"}},
		)
	}()
	c, chans, reqs, err := ssh.NewClientConn(here, "x", &ssh.ClientConfig{User: "me", HostKeyCallback: ssh.FixedHostKey(key.PublicKey())})
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, chans, reqs)
	t.Cleanup(func() { _ = client.Close() })
	return client, done
}

func session(t *testing.T, c *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestCommands: what runs, and how it ends, is told as sshd tells it.
func TestCommands(t *testing.T) {
	home := t.TempDir()
	c, done := dial(t, t.Context(), home, false)
	s := session(t, c)
	_ = s.Setenv("MINE", "2")
	s.Stdin = strings.NewReader("in")
	var out, errs bytes.Buffer
	s.Stdout, s.Stderr = &out, &errs
	err := s.Run(`printf '%s ' "$MINE$OURS" "$PWD"; cat; echo err >&2; exit 3`)
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 3 || out.String() != "21 "+home+" in" || errs.String() != "err\n" {
		t.Errorf(
			"err = %v, &out = %q, &errs = %q"+
				`; want errors.As(err, &exit) and exit.ExitStatus() == 3 and out.String() == "21 "+home+" `+
				"in\" and errs.String() == \"err\\n\"",
			err, &out, &errs,
		)
	}
	s = session(t, c)
	if err := s.Run("kill -TERM $$"); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("a command that was killed: %v", err)
	}
	s = session(t, c)
	r, _ := s.StdoutPipe()
	if err := s.Start("trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal("USR1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 9 {
		t.Errorf("after a signal: %v", err)
	}
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Errorf("a question whether we are there: %v", err)
	}
	if _, err := c.Dial("x", "y"); err == nil {
		t.Error("an odd channel was opened")
	}
	_ = c.Close()
	if err := <-done; err != nil {
		t.Errorf("at its end: %v", err)
	}
}

// TestTerminal: it has the size that it is given, and the shell is interactive.
func TestTerminal(t *testing.T) {
	c, _ := dial(t, t.Context(), t.TempDir(), false)
	s := session(t, c)
	if err := s.RequestPty("vt100", 30, 90, nil); err != nil {
		t.Fatal(err)
	}
	out, _ := s.StdoutPipe()
	in, _ := s.StdinPipe()
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	ask := func(text, want string) {
		t.Helper()
		_, _ = io.WriteString(in, text)
		buf := make([]byte, 4096)
		for !strings.Contains(seen.String(), want) {
			n, err := out.Read(buf)
			seen.Write(buf[:n])
			if err != nil {
				t.Fatalf("%v: &seen = %q; want no error", err, &seen)
			}
		}
	}
	ask("stty size; echo $TERM\n", "30 90\r\nvt100")
	if err := s.WindowChange(40, 100); err != nil {
		t.Fatal(err)
	}
	ask("sleep 0.2; stty size\n", "40 100")
	_, _ = io.WriteString(in, "exit 4\n")
	_, _ = io.Copy(io.Discard, out)
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 4 {
		t.Errorf("the shell's end: %v", err)
	}
}

// TestForward: ports and sockets, both ways.
func TestForward(t *testing.T) {
	c, _ := dial(t, t.Context(), t.TempDir(), false)
	echo := func(l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}
	try := func(what string, dial func() (net.Conn, error)) {
		t.Helper()
		conn, err := dial()
		if err != nil {
			t.Errorf("%s: err = %v; want no error", what, err)
			return
		}
		defer conn.Close()
		text := strings.Repeat("x", 100_000)
		go func() {
			_, _ = io.WriteString(conn, text)
			if half, ok := conn.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		}()
		got, err := io.ReadAll(io.LimitReader(conn, int64(len(text))))
		if err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
	}
	sock := filepath.Join(t.TempDir(), "s")
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", sock}} {
		l, err := net.Listen(at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go echo(l)
		try("local "+at[0], func() (net.Conn, error) { return c.Dial(at[0], l.Addr().String()) })
	}
	if conn, err := c.Dial("unix", sock+".none"); err == nil {
		_ = conn.Close()
		t.Error("a socket that is not there was reached")
	}
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", sock + "2"}} {
		l, err := c.Listen(at[0], at[1])
		if err != nil {
			t.Fatalf("at = %v, err = %v; want no error", at, err)
		}
		go echo(l)
		try("remote "+at[0], func() (net.Conn, error) { return net.Dial(at[0], l.Addr().String()) })
		address := l.Addr().String()
		if err := l.Close(); err != nil {
			t.Errorf("%s: no more: %v", at, err)
		}
		if conn, err := net.Dial(at[0], address); err == nil {
			_ = conn.Close()
			t.Errorf("%s: it listens still", at)
		}
	}
}

// TestFiles: SFTP without a program for it there.
func TestFiles(t *testing.T) {
	home := t.TempDir()
	c, _ := dial(t, t.Context(), home, true)
	f, err := sftp.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	name := "a 'name' with\nlines"
	w, err := f.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1_500_000_000, 0)
	if err := errors.Join(f.Chmod(name, 0o400), f.Chtimes(name, when, when), w.Close()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(home, name))
	if err != nil || info.Mode() != 0o400 || !info.ModTime().Equal(when) || info.Size() != int64(len(text)) {
		t.Errorf("what was written: %+v, %v", info, err)
	}
	r, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("what is read: %d bytes, %v", len(got), err)
	}
	_ = r.Close()
	if err := errors.Join(f.Mkdir("d"), f.Symlink("../x", "d/link"), f.Rename(name, "d/b"), f.Mkdir("d/.hidden")); err != nil {
		t.Fatal(err)
	}
	list, err := f.ReadDir("d")
	var names []string
	for _, i := range list {
		names = append(names, fmt.Sprint(i.Name(), " ", i.Mode(), " ", i.IsDir()))
	}
	slices.Sort(names)
	if want := []string{
		".hidden drwxr-xr-x true", "b -r-------- false", "link Lrwxrwxrwx false",
	}; err != nil || !slices.Equal(names, want) {
		t.Errorf("the directory: %q, want %q, %v", names, want, err)
	}
	if to, err := f.ReadLink("d/link"); err != nil || !strings.HasSuffix(to, "x") {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if _, err := f.Stat("nothing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	if _, err := f.Open("nothing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("to open what is not there: %v", err)
	}
	if err := f.Remove("d/link"); err != nil {
		t.Error(err)
	}
	if err := f.RemoveDirectory("d"); err == nil {
		t.Error("a directory with a file in it was removed")
	}
	a, err := f.OpenFile("log", os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = a.Write([]byte("one"))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(home, "log")); string(b) != "one" {
		t.Errorf("appended: %q", b)
	}
}

// TestEnds: with the context all that runs ends, and with the client too.
func TestEnds(t *testing.T) {
	for _, by := range []string{"context", "client"} {
		ctx, cancel := context.WithCancel(t.Context())
		c, done := dial(t, ctx, t.TempDir(), false)
		s := session(t, c)
		if err := s.Start("sleep 1000"); err != nil {
			t.Fatal(err)
		}
		if by == "context" {
			cancel()
		} else {
			_ = c.Close()
		}
		select {
		case err := <-done:
			if (by == "context") != errors.Is(err, context.Canceled) {
				t.Errorf(`%s: err = %v; want (by == "context") == errors.Is(err, context.Canceled)`, by, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: it serves on", by)
		}
		cancel()
	}
}

// TestNoClient: what is no ssh client is refused.
func TestNoClient(t *testing.T) {
	_, secret, _ := ed25519.GenerateKey(nil)
	key, _ := ssh.NewSignerFromKey(secret)
	here, there := pair(t)
	done := make(chan error, 1)
	go func() { done <- sshserve.Serve(t.Context(), there, sshserve.Options{Key: key}) }()
	go func() { _, _ = io.Copy(io.Discard, here) }()
	_, _ = io.WriteString(here, "GET / HTTP/1.1\r\n\r\n")
	_ = here.Close()
	if err := <-done; !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("err = %v; want error compute.ErrInvalid", err)
	}
}

// TestKeys lets in who has a key that is named, and nobody else.
func TestKeys(t *testing.T) {
	signer := func() ssh.Signer {
		_, secret, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ssh.NewSignerFromKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	host, mine, other := signer(), signer(), signer()
	for name, c := range map[string]struct {
		auth []ssh.AuthMethod
		in   bool
	}{
		"named":   {[]ssh.AuthMethod{ssh.PublicKeys(mine)}, true},
		"another": {[]ssh.AuthMethod{ssh.PublicKeys(other)}, false}, "none": {nil, false},
	} {
		conn := process.New(process.Options{Dir: t.TempDir()})
		here, there := pair(t)
		done := make(chan error, 1)
		go func() {
			done <- sshserve.Serve(t.Context(), there, sshserve.Options{Conn: conn, Key: host, Keys: []ssh.PublicKey{mine.PublicKey()}})
		}()
		c2, _, _, err := ssh.NewClientConn(
			here, "x", &ssh.ClientConfig{User: "me", Auth: c.auth, HostKeyCallback: ssh.FixedHostKey(host.PublicKey())},
		)
		if (err == nil) != c.in {
			t.Errorf("%s: err = %v; want (err == nil) == c.in", name, err)
		}
		if err == nil {
			_ = c2.Close()
		}
		_ = here.Close()
		<-done
		_ = conn.Close()
	}
}
