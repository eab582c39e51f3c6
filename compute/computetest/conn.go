package computetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
)

// patience is how long one step of a case may take on a busy machine. No case asserts a speed.
const patience = 3 * time.Minute

// ConnOptions tell the suite about a kind of connection.
type ConnOptions struct {
	// New opens a new connection, always to the same computer. It may skip the test. The suite
	// closes the connection
	New func(t *testing.T) compute.Conn
	// a directory there that exists and is writable; the suite works in one of its own below it
	Dir string
	// Put gives files the owners of the stream; else files belong to the user that runs commands
	Owner bool
	// empty Args start a shell that reads commands from its input
	Shell bool
	// Descendants of a command are known by a mark in their environment alone. They stay when the
	// command ends by itself. When the command is killed, one that has emptied its environment and
	// left the session is not found. Without it all descendants end with the command.
	Marked bool

	// how many bytes long data has; 0: muchData. It is less where each byte is dear and the rest of
	// the way is tested in full elsewhere
	Huge int64
	Skip map[string]string // cases of abilities that this kind lacks, and why
	// functions of a library whose goroutines end by themselves, later than the test; each is the
	// one that such a goroutine called last
	Late []string
}

// Conn is the suite for connections to a computer. The far side needs sh, cat, printf, kill, sleep,
// test, head, wc, mkdir, rm, ln, stty and du. Tests of descendants also need /proc, setsid, env and
// mv.
func Conn(t *testing.T, opt ConnOptions) {
	cases := slices.Concat(runCases, streamCases, stopCases, kinCases, terminalCases, fileCases, escapeCases, netCases, endCases)
	for name := range opt.Skip {
		if !slices.ContainsFunc(cases, func(c connCase) bool { return c.name == name }) {
			t.Errorf("Skip names %q, which is no case", name)
		}
	}
	heed(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if why := opt.Skip[c.name]; why != "" {
				t.Skipf("%s: %s", c.name, why)
			}
			allowed := []goleak.Option{goleak.IgnoreCurrent()}
			for _, f := range opt.Late {
				allowed = append(allowed, goleak.IgnoreTopFunction(f))
			}
			t.Cleanup(func() { // last of all: the connection is closed by then
				if t.Failed() || t.Skipped() {
					return
				}
				if err := goleak.Find(allowed...); err != nil {
					t.Errorf("goroutines are left: %v", err)
				}
			})
			ct := &connTest{T: t, conn: opt.New(t), opt: opt}
			t.Cleanup(func() { _ = ct.conn.Close() })
			c.test(ct)
		})
	}
}

// connCase is one case of the suite.
type connCase struct {
	name string
	test func(*connTest)
}

// connTest is the environment of a case.
type connTest struct {
	*testing.T
	conn compute.Conn
	opt  ConnOptions
	dir  string // see scratch
}

// ctx returns a context that ends with the test, or when patience does.
func (t *connTest) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// scratch returns the case's own directory on the computer, made at the first call and removed at
// the end.
func (t *connTest) scratch() string {
	t.Helper()
	if t.dir != "" {
		return t.dir
	}
	t.dir = path.Join(t.opt.Dir, "hostler-suite-"+rand.Text()[:8])
	t.must("mkdir", t.dir)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, _ = t.conn.Run(ctx, &compute.Command{Args: []string{"rm", "-rf", t.dir}})
	})
	return t.dir
}

// result is the output and the end of a command.
type result struct {
	out, err string
	exit     compute.Exit
}

// run runs a command, which must come to an end of its own.
func (t *connTest) run(cmd compute.Command) result {
	t.Helper()
	var out, errs bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	if cmd.Stderr == nil && cmd.TTY == nil {
		cmd.Stderr = &errs
	}
	exit, err := t.conn.Run(t.ctx(), &cmd)
	if err != nil {
		t.Fatalf("Run(%q): %v\nstderr: %s", cmd.Args, err, errs.String())
	}
	return result{out.String(), errs.String(), exit}
}

// must runs words, which must exit with 0, and returns their output.
func (t *connTest) must(words ...string) string {
	t.Helper()
	r := t.run(compute.Command{Args: words})
	if r.exit != (compute.Exit{}) {
		t.Fatalf("%q: %+v\nstderr: %s", words, r.exit, r.err)
	}
	return r.out
}

// sh runs a script, which must exit with 0; args are its $1 and so on.
func (t *connTest) sh(script string, args ...string) string {
	t.Helper()
	return t.must(append([]string{"sh", "-c", script, "sh"}, args...)...)
}

func (t *connTest) same(what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// background starts a command whose output can be waited for.
func (t *connTest) background(ctx context.Context, cmd compute.Command) *running {
	r := &running{t: t, done: make(chan struct{}), more: make(chan struct{}, 1)}
	cmd.Stdout = r
	go func() {
		defer close(r.done)
		r.exit, r.err = t.conn.Run(ctx, &cmd)
	}()
	return r
}

// running is a command in the background. Its Write is the command's standard output.
type running struct {
	t    *connTest
	done chan struct{}
	exit compute.Exit // valid when done is closed
	err  error
	more chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// Write keeps the output and wakes the test that waits for more.
func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
	return r.out.Write(b)
}

func (r *running) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// until waits for text in the output.
func (r *running) until(text string) {
	r.t.Helper()
	late := time.After(patience)
	for !strings.Contains(r.output(), text) {
		select {
		case <-r.more:
		case <-r.done:
			if !strings.Contains(r.output(), text) {
				r.t.Fatalf("the command ended (%+v, %v) before it said %q; it said %q", r.exit, r.err, text, r.output())
			}
		case <-late:
			r.t.Fatalf("the command did not say %q; it said %q", text, r.output())
		}
	}
}

// end waits for the command's end.
func (r *running) end() (compute.Exit, error) {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("the command does not end; it said %q", r.output())
	}
	return r.exit, r.err
}

// endless is a reader that never has anything to read, until it is closed.
func endless(t *connTest) io.Reader {
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	return r
}

// heed catches signals that this process was started to ignore, as under nohup or in the background
// of a script. A program inherits ignored signals, and a shell cannot even trap them. So the
// programs that the cases start get them.
func heed(t *testing.T) {
	c := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	t.Cleanup(func() { signal.Stop(c) })
}
