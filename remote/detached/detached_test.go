package detached_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/detached"
	"github.com/hostler-project/hostler/remote/process"
)

// patience is how long is waited for what comes.
const patience = time.Minute

// place is an agent that stays, to which one connects by way of so many others, as by a keeper.
type place struct {
	t    *testing.T
	conn compute.Conn
	hops int
}

func newPlace(t *testing.T, hops int) *place {
	c := detached.New(process.New(process.Options{}))
	t.Cleanup(func() { _ = c.Close() })
	return &place{t: t, conn: c, hops: hops}
}

// connect connects. cut ends the connection without a word, as the end of a client does.
func (p *place) connect() (c *agent.Client, cut func()) {
	p.t.Helper()
	var served sync.WaitGroup
	var all []net.Conn
	conn := p.conn
	for range p.hops + 1 {
		ours, theirs := pair(p.t)
		to := conn
		served.Go(func() { _ = agent.Serve(context.Background(), theirs, to, agent.Options{}) })
		c = agent.New(ours)
		conn, all = c, append(all, ours)
	}
	p.t.Cleanup(func() {
		for _, one := range all {
			_ = one.Close()
		}
		served.Wait()
	})
	return c, func() { _ = all[len(all)-1].Close() }
}

func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if out[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	return out[0], out[1]
}

// text is a writer that can be waited for.
type text struct {
	mu  sync.Mutex
	b   bytes.Buffer
	hit chan struct{}
}

func newText() *text { return &text{hit: make(chan struct{}, 1)} }

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(p)
	select {
	case w.hit <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func (w *text) wait(t *testing.T, want string) {
	t.Helper()
	late := time.After(patience)
	for !strings.Contains(w.String(), want) {
		select {
		case <-w.hit:
		case <-late:
			t.Fatalf("%q is not in %q", want, w.String())
		}
	}
}

type outcome struct {
	exit compute.Exit
	err  error
}

func start(ctx context.Context, c compute.Conn, cmd *compute.Command) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		exit, err := c.Run(ctx, cmd)
		done <- outcome{exit, err}
	}()
	return done
}

func await(t *testing.T, done <-chan outcome) outcome {
	t.Helper()
	select {
	case o := <-done:
		return o
	case <-time.After(patience):
		t.Fatal("it does not end")
		panic("not reached")
	}
}

// until waits for something to be so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (p *place) list() []provider.HeldRun {
	p.t.Helper()
	c, cut := p.connect()
	defer cut()
	all, err := c.Held(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// The suite of every way into a computer, each command held.
func TestConn(t *testing.T) {
	computetest.Conn(t, computetest.ConnOptions{Dir: t.TempDir(), Shell: true, Marked: true, New: func(t *testing.T) compute.Conn {
		c, _ := newPlace(t, 0).connect()
		return &holding{Client: c}
	}})
}

// holding has each command held.
type holding struct {
	*agent.Client
	mu sync.Mutex
	n  int
}

func (h *holding) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	h.mu.Lock()
	h.n++
	c := *cmd
	c.Hold = &compute.Hold{Run: strconv.Itoa(h.n), Grace: 50 * time.Millisecond}
	h.mu.Unlock()
	return h.Client.Run(ctx, &c)
}

// talk is a command that says what it reads, and ends at "end".
func talk(run string, out, errs io.Writer) *compute.Command {
	return &compute.Command{
		Args: []string{
			"sh", "-c",
			`echo begun; echo to err >&2; while read -r x; do test "$x" = end && exit 7; echo "heard $x"; done; echo eof; exit 8`,
		},
		Hold: &compute.Hold{Run: run}, Stdout: out, Stderr: errs,
	}
}

func TestAttach(t *testing.T) {
	for hops := range 3 {
		t.Run(strconv.Itoa(hops), func(t *testing.T) {
			p := newPlace(t, hops)
			c, cut := p.connect()
			in, typed := io.Pipe()
			defer typed.Close()
			out := newText()
			cmd := talk("r1", out, out)
			errs := newText()
			cmd.Stderr, cmd.Stdin = errs, in
			first := start(t.Context(), c, cmd)
			_, _ = io.WriteString(typed, "one\n")
			out.wait(t, "heard one\n")
			errs.wait(t, "to err\n")
			cut()
			if o := await(t, first); !errors.Is(o.err, compute.ErrLost) {
				t.Errorf("the first: %v %v", o.exit, o.err)
			}
			until(t, "the first to be missed", func() bool {
				all := p.list()
				return len(all) == 1 && all[0].Watchers == 0 && !all[0].Typed && !all[0].Ended
			})

			// A second client goes on where the first was, or sees all that is kept.
			c, _ = p.connect()
			look, _ := p.connect()
			out, seen := newText(), newText()
			in, again := io.Pipe()
			defer again.Close()
			watching := start(
				t.Context(), look,
				&compute.Command{
					Hold: &compute.Hold{Run: "r1", Attach: true, Look: true, Out: -1, Err: -1}, Stdout: seen,
					Stderr: io.Discard,
				},
			)
			seen.wait(t, "begun\nheard one\n")
			second := start(t.Context(), c, &compute.Command{
				Hold: &compute.Hold{Run: "r1", Attach: true, Out: int64(len("begun\nheard one\n")), Err: -1}, Stdin: in,
				Stdout: out, Stderr: io.Discard,
			})
			_, _ = io.WriteString(again, "two\n")
			out.wait(t, "heard two\n")
			third, _ := p.connect()
			if _, err := third.Run(
				t.Context(), &compute.Command{Hold: &compute.Hold{Run: "r1", Attach: true}, Stdout: io.Discard},
			); !errors.Is(err, compute.ErrConflict) {
				t.Errorf("a second one who types: %v", err)
			}
			_, _ = io.WriteString(again, "end\n")
			for _, done := range []<-chan outcome{second, watching} {
				if o := await(t, done); o.err != nil || o.exit.Code != 7 {
					t.Errorf("got %v %v", o.exit, o.err)
				}
			}
			if out.String() != "heard two\n" {
				t.Errorf("who goes on sees %q", out)
			}
			// And how it ended is known for a while.
			if exit, err := third.Run(
				t.Context(), &compute.Command{Hold: &compute.Hold{Run: "r1", Attach: true, Out: -1}, Stdout: seen},
			); err != nil || exit.Code != 7 {
				t.Errorf("after its end: %v %v", exit, err)
			}
			if _, err := third.Run(
				t.Context(), &compute.Command{Hold: &compute.Hold{Run: "r2", Attach: true}},
			); !errors.Is(err, compute.ErrNotFound) {
				t.Errorf("a run that is none: %v", err)
			}
		})
	}
}

func TestGrace(t *testing.T) {
	p := newPlace(t, 1)
	c, cut := p.connect()
	out := newText()
	cmd := &compute.Command{
		Args: []string{"sh", "-c", "echo $$; exec sleep 600"},
		Hold: &compute.Hold{Run: "g", Grace: 50 * time.Millisecond}, Stdout: out,
	}
	done := start(t.Context(), c, cmd)
	out.wait(t, "\n")
	cut()
	await(t, done)
	pid, _ := strconv.Atoi(strings.TrimSpace(out.String()))
	until(t, "the end of a command that nobody came back to", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	until(t, "the run's end", func() bool { all := p.list(); return len(all) == 1 && all[0].Ended })
	c, _ = p.connect()
	exit, err := c.Run(t.Context(), &compute.Command{Hold: &compute.Hold{Run: "g", Attach: true}})
	if err != nil || exit.Signal != "KILL" {
		t.Errorf("how it ended: %v %v", exit, err)
	}
}

// TestBegunAndEnded starts a command that ends at once. Its caller hears that it began, even if
// both messages come at once while the caller is busy.
func TestBegunAndEnded(t *testing.T) {
	p := newPlace(t, 0)
	ours, theirs := pair(t)
	var served sync.WaitGroup
	served.Go(func() { _ = agent.Serve(context.Background(), theirs, p.conn, agent.Options{}) })
	c := agent.New(late{ours})
	defer served.Wait()
	defer func() { _ = c.Close() }()
	for i := range 20 {
		sizes, over := make(chan compute.Size), make(chan struct{})
		var busy sync.WaitGroup
		busy.Go(func() {
			for {
				select {
				case sizes <- compute.Size{Rows: 24, Cols: 80}:
				case <-over:
					return
				}
			}
		})
		begun := 0
		cmd := &compute.Command{
			Args: []string{"true"}, Resize: sizes,
			Hold: &compute.Hold{Run: strconv.Itoa(i), Keep: true, Begun: func() { begun++ }},
		}
		if exit, err := c.Run(t.Context(), cmd); err != nil || exit.Code != 0 || begun != 1 {
			t.Errorf("run %d: %v %v, it began %d times", i, exit, err, begun)
		}
		close(over)
		busy.Wait()
	}
}

// late is a connection of which one reads what came some time ago.
type late struct{ net.Conn }

func (l late) Read(b []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return l.Conn.Read(b)
}

// Keep: it stays until it ends, with nobody there.
func TestKeep(t *testing.T) {
	p := newPlace(t, 1)
	c, _ := p.connect()
	begun, leave := context.WithCancelCause(t.Context())
	mark := filepath.Join(t.TempDir(), "go")
	cmd := &compute.Command{
		Args:   []string{"sh", "-c", "until test -e " + mark + "; do sleep 0.02; done; echo done; exit 3"},
		Hold:   &compute.Hold{Run: "k", Keep: true, Grace: time.Millisecond, Begun: func() { leave(compute.ErrLost) }},
		Stdout: io.Discard,
	}
	if _, err := c.Run(begun, cmd); !errors.Is(err, context.Canceled) {
		t.Fatalf("left: %v", err)
	}
	if all := p.list(); len(all) != 1 || all[0].Ended || !all[0].Keep {
		t.Fatalf("kept: %+v", all)
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := newText()
	exit, err := c.Run(t.Context(), &compute.Command{Hold: &compute.Hold{Run: "k", Attach: true, Out: -1}, Stdout: out})
	if err != nil || exit.Code != 3 || out.String() != "done\n" {
		t.Errorf("got %v %v %q", exit, err, out)
	}
	// What cannot be started is said to who asks, and not kept.
	cmd.Args, cmd.Hold.Run = []string{"/no/such/command"}, "k2"
	if _, err := c.Run(t.Context(), cmd); !errors.Is(err, compute.ErrNoCommand) {
		t.Errorf("no such command: %v", err)
	}
	if all := p.list(); len(all) != 1 {
		t.Errorf("kept: %+v", all)
	}
}

// Where nobody keeps a command, one that is to be kept is not started.
func TestNobodyKeeps(t *testing.T) {
	p := &place{t: t, conn: process.New(process.Options{}), hops: 1}
	c, _ := p.connect()
	if _, err := c.Held(t.Context()); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("held: %v", err)
	}
	mark := filepath.Join(t.TempDir(), "mark")
	if _, err := c.Run(
		t.Context(), &compute.Command{Args: []string{"touch", mark}, Hold: &compute.Hold{Run: "n", Keep: true}},
	); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("kept: %v", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("it was started")
	}
	if exit, err := c.Run(
		t.Context(), &compute.Command{Args: []string{"touch", mark}, Hold: &compute.Hold{Run: "n"}},
	); err != nil || exit.Code != 0 {
		t.Errorf("with a grace that nobody gives: %v %v", exit, err)
	}
}

// The end of its context ends a command that is held, unless contact was lost.
func TestCancel(t *testing.T) {
	p := newPlace(t, 1)
	c, _ := p.connect()
	ctx, cancel := context.WithCancel(t.Context())
	out := newText()
	done := start(
		ctx, c,
		&compute.Command{Args: []string{"sh", "-c", "echo $$; exec sleep 600"}, Hold: &compute.Hold{Run: "c"}, Stdout: out},
	)
	out.wait(t, "\n")
	cancel()
	if o := await(t, done); !errors.Is(o.err, context.Canceled) {
		t.Errorf("got %v %v", o.exit, o.err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(out.String()))
	if syscall.Kill(pid, 0) != syscall.ESRCH {
		t.Error("it runs on")
	}
	until(t, "it to be forgotten", func() bool { return len(p.list()) == 0 })
}

// One client takes a run over from the client that types. Only the one that types sends signals.
func TestTake(t *testing.T) {
	p := newPlace(t, 0)
	c, _ := p.connect()
	out := newText()
	first := start(t.Context(), c, &compute.Command{
		Args: []string{"sh", "-c", "trap 'echo got USR1; exit 9' USR1; echo up; while :; do sleep 0.02; done"},
		Hold: &compute.Hold{Run: "t"}, Stdout: out, Signals: make(chan string),
	})
	out.wait(t, "up\n")
	other, _ := p.connect()
	signals := make(chan string, 1)
	second := start(
		t.Context(), other,
		&compute.Command{Hold: &compute.Hold{Run: "t", Attach: true, Take: true, Out: -1}, Stdout: out, Signals: signals},
	)
	if o := await(t, first); !errors.Is(o.err, compute.ErrLost) {
		t.Errorf("who was there: %v %v", o.exit, o.err)
	}
	signals <- "USR1"
	if o := await(t, second); o.err != nil || o.exit.Code != 9 {
		t.Errorf("got %v %v", o.exit, o.err)
	}
}

// A command that writes much while nobody is there goes on, in bounded memory, and what is missing
// is said.
func TestGap(t *testing.T) {
	p := newPlace(t, 0)
	c, _ := p.connect()
	begun, leave := context.WithCancelCause(t.Context())
	const total = 8 << 20
	alone := filepath.Join(t.TempDir(), "alone") // there once nobody is
	cmd := &compute.Command{
		Args: []string{"sh", "-c", "until [ -e $0 ]; do sleep 0.01; done; head -c " + strconv.Itoa(total) +
			" /dev/zero; echo; echo the end", alone},
		Hold:   &compute.Hold{Run: "gap", Keep: true, Begun: func() { leave(compute.ErrLost) }},
		Stdout: io.Discard,
	}
	if _, err := c.Run(begun, cmd); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	until(t, "leaving of the first", func() bool { return p.list()[0].Watchers == 0 })
	if err := os.WriteFile(alone, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "its end", func() bool { return p.list()[0].Ended })
	out := newText()
	if exit, err := c.Run(
		t.Context(), &compute.Command{Hold: &compute.Hold{Run: "gap", Attach: true}, Stdout: out},
	); err != nil || exit.Code != 0 {
		t.Fatalf("exit = %v, err = %v; want no error and exit.Code == 0", exit, err)
	}
	head, tail, ok := strings.Cut(out.String(), " bytes are missing here]\n")
	missing, err := strconv.Atoi(strings.TrimPrefix(head, "\n[hostler: "))
	if want := total + len("\nthe end\n"); !ok || err != nil || missing+len(tail) != want ||
		!strings.HasSuffix(tail, "\nthe end\n") || len(tail) > 1<<20 {
		t.Errorf("%d missing and %d there of %d: %.40q", missing, len(tail), want, head)
	}
}

// While a client is attached nothing is lost, however slowly it reads.
func TestBackPressure(t *testing.T) {
	p := newPlace(t, 0)
	c, _ := p.connect()
	const total = 24 << 20
	got := 0
	exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"head", "-c", strconv.Itoa(total), "/dev/zero"},
		Hold: &compute.Hold{Run: "b"},
		Stdout: writerFunc(func(b []byte) (int, error) {
			if got += len(b); got < 1<<20 {
				time.Sleep(time.Millisecond)
			}
			return len(b), nil
		})})
	if err != nil || exit.Code != 0 || got != total {
		t.Errorf("%d bytes of %d, %v %v", got, total, exit, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// BenchmarkHeld has a short command that is held beside one that is not.
func BenchmarkHeld(b *testing.B) {
	plain := process.New(process.Options{})
	defer plain.Close()
	kept := detached.New(plain)
	run := func(conn compute.Conn, hold *compute.Hold) func() {
		ours, theirs := net.Pipe()
		go func() { _ = agent.Serve(context.Background(), theirs, conn, agent.Options{}) }()
		c := agent.New(ours)
		b.Cleanup(func() { _ = c.Close() })
		return func() {
			if exit, err := c.Run(
				b.Context(),
				&compute.Command{Args: []string{"/bin/true"}, Hold: hold, Stdout: io.Discard, Stderr: io.Discard},
			); err != nil || exit.Code != 0 {
				b.Fatalf("exit = %v, err = %v; want no error and exit.Code == 0", exit, err)
			}
		}
	}
	all := [2]func(){run(plain, nil), run(kept, &compute.Hold{Run: "x"})}
	var took [2]time.Duration
	for b.Loop() {
		for i, f := range all {
			begun := time.Now()
			f()
			took[i] += time.Since(begun)
		}
	}
	b.ReportMetric(float64(took[1])/float64(took[0]), "x-not-held")
	b.ReportMetric(float64(took[1]-took[0])/1e3/float64(b.N), "µs-more")
}
