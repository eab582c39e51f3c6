package agent_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

func TestRun(t *testing.T) {
	leaks(t)
	f := newFake()
	c, _ := connect(t, f)
	ctx := t.Context()
	var out, errs bytes.Buffer
	exit, err := c.Run(ctx, &compute.Command{Args: []string{"echo", "a\x00b", "c\n"}, Stdout: &out, Stderr: &errs})
	if err != nil || exit != (compute.Exit{}) || out.String() != "a\x00b" || errs.String() != "c\n" {
		t.Errorf("got %v %v %q %q", exit, err, &out, &errs)
	}
	for _, want := range []compute.Exit{{Code: 3}, {Code: 255}, {Signal: "KILL"}} {
		args := []string{"exit", "3"}
		if want.Code == 255 {
			args[1] = "255"
		} else if want.Signal != "" {
			args[0] = "killed"
		}
		if exit, err := c.Run(ctx, &compute.Command{Args: args}); err != nil || exit != want {
			t.Errorf("%q: got %+v %v, want %+v", args, exit, err, want)
		}
	}
	out.Reset()
	in := strings.Repeat("0123456789", 300_000)
	if _, err := c.Run(
		ctx, &compute.Command{Args: []string{"cat"}, Stdin: strings.NewReader(in), Stdout: &out},
	); err != nil || out.String() != in {
		t.Errorf("cat: %v, %d bytes of %d", err, out.Len(), len(in))
	}
}

func TestCommandArrivesWhole(t *testing.T) {
	f := newFake()
	c, _ := connect(t, f)
	want := compute.Command{Args: []string{"true", "", "a b", "\xff'\"\n"}, Dir: "/x y", User: "u", Term: "vt100",
		Env: map[string]string{"A": "1", "B": "", "C": "x=y\n"}, TTY: &compute.Size{Rows: 24, Cols: 80}}
	if _, err := c.Run(t.Context(), &want); err != nil {
		t.Fatal(err)
	}
	got := *f.asked
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	var w bytes.Buffer
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"true"}, Stdout: &w, Stderr: &w}); err != nil {
		t.Fatal(err)
	}
	if f.asked.Stdout != f.asked.Stderr || f.asked.Stdout == nil || f.asked.Stdin != nil {
		t.Error("one writer for both did not arrive as one")
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	f := newFake()
	c, _ := connect(t, f)
	inner := &compute.Error{Op: "ssh.Run", Kind: compute.ErrStale, Err: fs.ErrPermission}
	for _, want := range []error{
		compute.ErrNoCommand,
		context.DeadlineExceeded,
		&compute.Error{Op: "a.B", ID: "web-1", Kind: compute.ErrNotExecutable, Err: errors.New("no"), Hint: "do this"},
		&compute.Error{Op: "outer", Err: inner, Hint: "h"},
		&compute.Error{Kind: compute.ErrNotLeased},
		errors.Join(errors.New("plain"), inner),
		errors.New("just text"),
	} {
		f.fail = want
		_, got := c.Run(t.Context(), &compute.Command{Args: []string{"fail"}})
		if got == nil || got.Error() != want.Error() || compute.Hint(got) != compute.Hint(want) {
			t.Errorf("got %v (%q), want %v (%q)", got, compute.Hint(got), want, compute.Hint(want))
		}
		for _, k := range []error{compute.ErrNoCommand, compute.ErrCannotStart, compute.ErrNotExecutable,
			compute.ErrStale, compute.ErrConflict, compute.ErrNotLeased,
			compute.ErrFailed, compute.ErrLost, fs.ErrPermission, context.DeadlineExceeded, context.Canceled} {
			if errors.Is(got, k) != errors.Is(want, k) {
				t.Errorf("%v: errors.Is(%v) is %v", want, k, errors.Is(got, k))
			}
		}
		var a, b *compute.Error
		if errors.As(want, &a) && errors.As(got, &b) && (a.Op != b.Op || a.ID != b.ID) && reflect.TypeOf(want) == reflect.TypeOf(a) {
			t.Errorf("got %+v, want %+v", b, a)
		}
	}
}

func TestSignalsAndSizes(t *testing.T) {
	leaks(t)
	c, _ := connect(t, newFake())
	signals, sizes := make(chan string), make(chan compute.Size)
	r, w := io.Pipe()
	go func() {
		line := make([]byte, 64)
		for _, send := range []func(){
			func() { signals <- "INT" }, func() { sizes <- compute.Size{Rows: 5, Cols: 6} }, func() { signals <- "TERM" },
		} {
			send()
			r.Read(line)
		}
	}()
	exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"signals"}, Stdout: w, Signals: signals, Resize: sizes})
	if err != nil || exit.Signal != "TERM" {
		t.Errorf("got %v %v", exit, err)
	}
}

func TestContextEndsCommand(t *testing.T) {
	leaks(t)
	f := newFake()
	c, _ := connect(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		r.Read(make([]byte, 10))
		cancel()
	}()
	stdin, never := io.Pipe() // never ends
	defer never.Close()
	_, err := c.Run(ctx, &compute.Command{Args: []string{"wait"}, Stdin: stdin, Stdout: w})
	if !errors.Is(err, context.Canceled) || f.ended.Load() != 1 || f.running.Load() != 0 {
		t.Errorf("got %v, ended %d, running %d", err, f.ended.Load(), f.running.Load())
	}
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"exit", "0"}}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestStdinThatNeverEnds(t *testing.T) {
	leaks(t)
	c, _ := connect(t, newFake())
	stdin, never := io.Pipe()
	defer never.Close()
	if exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"exit", "4"}, Stdin: stdin}); err != nil || exit.Code != 4 {
		t.Errorf("got %v %v", exit, err)
	}
}

func TestClientGone(t *testing.T) {
	leaks(t)
	f := newFake()
	a, b := pair(t)
	c, served := serve(t, f, a, b)
	r, w := io.Pipe()
	go func() {
		r.Read(make([]byte, 10))
		a.Close()
	}()
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"wait"}, Stdout: w}); !errors.Is(err, compute.ErrLost) {
		t.Errorf("Run: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if f.running.Load() != 0 || f.ended.Load() != 1 {
		t.Error("Serve returned before its command had ended")
	}
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"exit", "0"}}); !errors.Is(err, compute.ErrLost) {
		t.Errorf("Run after it: %v", err)
	}
}

func TestServeContextEnds(t *testing.T) {
	leaks(t)
	f := newFake()
	a, b := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- agent.Serve(ctx, b, f, agent.Options{}) }()
	c := agent.New(a)
	defer c.Close()
	r, w := io.Pipe()
	go func() {
		r.Read(make([]byte, 10))
		cancel()
	}()
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"wait"}, Stdout: w}); !errors.Is(err, compute.ErrLost) {
		t.Errorf("Run: %v", err)
	}
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
}

func TestSlowReaderStopsOnlyItself(t *testing.T) {
	leaks(t)
	f := newFake()
	c, _ := connect(t, f)
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"zeros", "50000000"}, Stdout: w}); err != nil {
			t.Errorf("slow: %v", err)
		}
		w.Close()
	})
	r.Read(make([]byte, 1)) // it has begun, and now it waits for us
	var n counter
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"zeros", "50000000"}, Stdout: &n}); err != nil || n != 50_000_000 {
		t.Errorf("beside it: %v, %d bytes", err, n)
	}
	if k, err := io.Copy(io.Discard, r); err != nil || k != 49_999_999 {
		t.Errorf("slow: %d bytes, %v", k, err)
	}
	wg.Wait()
}

type counter int

func (n *counter) Write(p []byte) (int, error) { *n += counter(len(p)); return len(p), nil }

// brokenWriter fails after some bytes.
type brokenWriter struct{ left int }

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("full")
	}
	return len(p), nil
}

func TestWriterThatFails(t *testing.T) {
	leaks(t)
	c, _ := connect(t, newFake())
	exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"zeros", "1000000000"}, Stdout: &brokenWriter{left: 100_000}})
	if err != nil || exit.Signal != "PIPE" {
		t.Errorf("got %v %v", exit, err)
	}
	if err := c.Get(t.Context(), "100000000", &brokenWriter{left: 100_000}); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("Get: %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	leaks(t)
	c, _ := connect(t, newFake())
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 20 {
				in := strings.Repeat(string(rune('a'+i%26)), 1000*i+j)
				var out bytes.Buffer
				if _, err := c.Run(
					t.Context(), &compute.Command{Args: []string{"cat"}, Stdin: strings.NewReader(in), Stdout: &out},
				); err != nil || out.String() != in {
					t.Errorf("%d: %v, %d bytes of %d", i, err, out.Len(), len(in))
				}
			}
		})
	}
	wg.Wait()
}

func TestTooMany(t *testing.T) {
	a, b := pair(t)
	f := newFake()
	done := make(chan struct{})
	go func() { agent.Serve(context.Background(), b, f, agent.Options{Streams: 2}); close(done) }()
	c := agent.New(a)
	defer func() { c.Close(); <-done }()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { c.Run(ctx, &compute.Command{Args: []string{"wait"}}) })
	}
	soon(t, "two run", func() bool { return f.running.Load() == 2 })
	if _, err := c.Run(ctx, &compute.Command{Args: []string{"exit", "0"}}); !errors.Is(err, compute.ErrNoCapacity) {
		t.Errorf("a third: %v", err)
	}
	cancel()
	wg.Wait()
}

func TestPutAndGet(t *testing.T) {
	leaks(t)
	f := newFake()
	c, _ := connect(t, f)
	in := bytes.Repeat([]byte("x"), 5_000_000)
	if err := c.Put(t.Context(), "/d", bytes.NewReader(in)); err != nil || !bytes.Equal(f.put, in) {
		t.Errorf("Put: %v, %d bytes", err, len(f.put))
	}
	never, w := io.Pipe()
	defer w.Close()
	if err := c.Put(t.Context(), "/refused", never); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("refused Put: %v", err)
	}
	bad := errors.New("bad disk")
	f.put = []byte("before")
	err := c.Put(t.Context(), "/d", io.MultiReader(bytes.NewReader(in[:1000]), &brokenReader{bad}))
	if err != bad {
		t.Errorf("Put of a broken archive: %v", err)
	}
	var n counter
	if err := c.Get(t.Context(), "7000000", &n); err != nil || n != 7_000_000 {
		t.Errorf("Get: %v, %d bytes", err, n)
	}
}

type brokenReader struct{ err error }

func (b *brokenReader) Read([]byte) (int, error) { return 0, b.err }

// A command that does not end when it is told to does not keep Run for ever, nor hurt the others.
func TestStuckCommand(t *testing.T) {
	f := newFake()
	c, _ := connect(t, f)
	t.Cleanup(func() { f.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Run(ctx, &compute.Command{Args: []string{"stuck"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"exit", "1"}}); err != nil || exit.Code != 1 {
		t.Errorf("after it: %v %v", exit, err)
	}
	f.Close()
	soon(t, "it ends", func() bool { return f.running.Load() == 0 })
}

// Standard streams: two pipes that cannot be read and written by one file, and whose reads are not
// woken by a close.
func TestPipes(t *testing.T) {
	leaks(t)
	cr, sw, _ := os.Pipe()
	sr, cw, _ := os.Pipe()
	c, served := serve(t, newFake(), duplex{cr, cw}, duplex{sr, sw})
	in := strings.Repeat("0123456789", 1_000_000)
	var out bytes.Buffer
	if _, err := c.Run(
		t.Context(), &compute.Command{Args: []string{"cat"}, Stdin: strings.NewReader(in), Stdout: &out},
	); err != nil || out.String() != in {
		t.Errorf("%v, %d bytes of %d", err, out.Len(), len(in))
	}
	c.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

type duplex struct{ r, w *os.File }

func (d duplex) Read(p []byte) (int, error)  { return d.r.Read(p) }
func (d duplex) Write(p []byte) (int, error) { return d.w.Write(p) }
func (d duplex) Close() error                { return errors.Join(d.r.Close(), d.w.Close()) }

// net.Pipe has no buffer at all: every write waits for its reader.
func TestUnbuffered(t *testing.T) {
	leaks(t)
	a, b := net.Pipe()
	c, _ := serve(t, newFake(), a, b)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			in := strings.Repeat("0123456789", 50_000)
			var out bytes.Buffer
			if _, err := c.Run(
				t.Context(), &compute.Command{Args: []string{"cat"}, Stdin: strings.NewReader(in), Stdout: &out},
			); err != nil || out.String() != in {
				t.Errorf("%v, %d bytes of %d", err, out.Len(), len(in))
			}
		})
	}
	wg.Wait()
}

// A peer that stops reading blocks nobody's cancellation.
func TestPeerThatDoesNotRead(t *testing.T) {
	leaks(t)
	a, b := net.Pipe() // nobody reads b
	c := agent.New(a)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Run(
		ctx, &compute.Command{Args: []string{"cat"}, Stdin: strings.NewReader("x")},
	); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	c.Close()
	b.Close()
}

func TestOtherPeers(t *testing.T) {
	leaks(t)
	for name, c := range map[string]struct {
		says string
		kind error
		text string
	}{
		"another version": {"HsAg\x00\x07\x00\x00", compute.ErrConflict, "version 7"},
		"a shell":         {"bash: hostler-agent: command not found\n", compute.ErrLost, "command not found"},
		"nobody":          {"", compute.ErrLost, "without a word"},
		"half a hello":    {"HsA", compute.ErrLost, "HsA"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			go func() {
				go io.Copy(io.Discard, b)
				io.WriteString(b, c.says)
				time.Sleep(10 * time.Millisecond)
				b.Close()
			}()
			client := agent.New(a)
			defer client.Close()
			_, err := client.Run(t.Context(), &compute.Command{Args: []string{"x"}})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("client of another version", func(t *testing.T) {
		a, b := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- agent.Serve(t.Context(), b, newFake(), agent.Options{}) }()
		go io.WriteString(a, "HsAg\x00\x01\x00\x00")
		got, err := io.ReadAll(a)
		if string(got) != "HsAg\x00\x03\x00\x00" {
			t.Errorf("it was told %q, %v", got, err)
		}
		if err := <-served; !errors.Is(err, compute.ErrConflict) {
			t.Errorf("Serve: %v", err)
		}
	})
}
