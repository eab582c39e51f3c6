// Package install puts hostler's guest side on a computer that is reached in another way, as by
// ssh, and keeps it running there: one process, to which channels of that way lead, with the
// agent's protocol between. It is put into the user's cache there once, under its hash, needs
// nothing there but sh, listens on no port, runs as the user, and ends with its channel, or when
// what it holds has ended.
package install

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options say which program it is, and where it keeps workspaces. Both are required.
type Options struct {
	Find agent.Finder
	// the directory of workspaces below hostler's in the user's cache there, as Place has it
	Work string
}

// Place is the directory, below hostler's in the user's cache, of the workspaces that belong to a
// mark.
func Place(mark string) string {
	sum := sha256.Sum256([]byte(mark))
	return "workspaces/" + hex.EncodeToString(sum[:6])
}

// Machine is what stands before a Place for the workspaces of users other than the one who logs in,
// where that one is root: his own cache is closed to them.
const Machine = "/var/cache/hostler/"

// Agent is the guest side behind a Conn. It is started when it is first wanted, and again when it
// has ended. Its methods may be called from many goroutines.
type Agent struct {
	conn compute.Conn
	opt  Options
	turn chan struct{} // one slot: who has it starts it or looks whether it runs

	// where the program is, one of elsewhere; "": in the user's cache. For who has the turn
	above string

	mu     sync.Mutex
	now    *running
	closed bool
}

// running is one process of it.
type running struct {
	client *agent.Client
	stop   context.CancelFunc
	ended  chan struct{} // closed when the process has ended; then exit and err are there
	exit   compute.Exit
	err    error
	said   tail
}

// New makes the agent behind conn, which stays the caller's. Nothing is started yet.
func New(conn compute.Conn, opt Options) *Agent {
	return &Agent{conn: conn, opt: opt, turn: make(chan struct{}, 1)}
}

// Client returns a connection to the agent, which is put there and started if it does not run. It
// is shared, and not to be closed. The error is ErrInvalid where it cannot be run: no program for
// such a computer, a file system that runs no programs, no sh.
func (a *Agent) Client(ctx context.Context) (*agent.Client, error) {
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-a.turn }()
	a.mu.Lock()
	now, closed := a.now, a.closed
	a.mu.Unlock()
	if closed {
		return nil, &compute.Error{Op: "install", Kind: compute.ErrLost, Err: errors.New("the connection is closed")}
	}
	if now != nil {
		select {
		case <-now.client.Done():
			now.end()
		default:
			return now.client, nil
		}
	}
	r, err := a.start(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	closed = a.closed
	if !closed {
		a.now = r
	}
	a.mu.Unlock()
	if closed {
		r.end()
		return nil, &compute.Error{Op: "install", Kind: compute.ErrLost, Err: errors.New("the connection is closed")}
	}
	return r.client, nil
}

// Close ends the agent and all that runs through it.
func (a *Agent) Close() error {
	a.mu.Lock()
	now := a.now
	a.now, a.closed = nil, true
	a.mu.Unlock()
	if now != nil {
		now.end()
	}
	return nil
}

func (r *running) end() {
	_ = r.client.Close()
	r.stop()
	<-r.ended
}

// The statuses of a start where the program is not there yet, where its place is not the user's,
// and where it lies on a file system that runs none.
const (
	missing = 44
	notOurs = 45
	notRun  = 126
)

// elsewhere is where the program goes, in a directory of the user's, when the file system of his
// cache runs no programs.
var elsewhere = []string{"/var/tmp", "/tmp", "/dev/shm"}

// next is the place to try after one that did not do; "": there is none.
func next(above string) string {
	i := slices.Index(elsewhere, above) + 1 // 0 after the cache
	if i == len(elsewhere) {
		return ""
	}
	return elsewhere[i]
}

// script starts the program with the digest $1, its own words $2 (which are none or one) and the
// directory of workspaces $3; where it is not there it says which kind of computer this is, and
// where it belongs. That is the user's cache or, with a fourth word, a directory of the user's own
// below the one that it names.
const script = `c=${XDG_CACHE_HOME:-$HOME/.cache}/hostler
a=$c
[ -z "$4" ]||{ a=$4/hostler-$(id -u);mkdir -m 700 "$a" 2>/dev/null
case $(ls -ldn "$a" 2>/dev/null) in drwx------*);;*)echo "$a is not for this user alone" >&2;exit 45;;esac
[ -O "$a" ]||{ echo "$a is another user's" >&2;exit 45;};}
p=$a/agents/$1/hostler-agent
[ -f "$p" ]||{ echo "hostler $(uname -s) $(uname -m) $a" >&2;exit 44;}
exec "$p" $2 serve --keep-env --daemon="$3" --work="$c/$3" --work-others="` + Machine + `$3" stdio`

// start starts the program, and puts it there first where it is missing.
func (a *Agent) start(ctx context.Context) (*running, error) {
	arch := runtime.GOARCH // that of most
	above := a.above
	put := false
	for {
		prog, digest, err := a.program(arch)
		if err != nil {
			return nil, err
		}
		r, err := a.launch(ctx, prog, digest, above)
		if err == nil {
			a.above = above
			return r, nil
		}
		where, there, ok := r.missing()
		unfit := r.err == nil && (r.exit.Code == notOurs || r.exit.Code == notRun)
		if !ok && !unfit || ctx.Err() != nil {
			return nil, r.why(ctx, err)
		}
		if put && ok || unfit {
			if above, put = next(above), false; above == "" {
				return nil, cannot(
					"hostler's agent cannot be run there: neither the user's cache nor %s is on a file system that lets him run programs (noexec)",
					strings.Join(elsewhere, ", "),
				)
			}
			continue
		}
		put = true
		if there != arch {
			arch = there
			if prog, digest, err = a.program(arch); err != nil {
				return nil, err
			}
		}
		if err := a.put(ctx, prog, where+"/agents/"+digest); err != nil {
			return nil, err
		}
		a.tidy(ctx, where+"/agents")
	}
}

func cannot(format string, args ...any) error {
	return &compute.Error{Op: "install", Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...)}
}

// program finds the program for an architecture, and its digest.
func (a *Agent) program(arch string) (agent.Program, string, error) {
	prog, err := a.opt.Find(arch)
	if err != nil {
		return prog, "", cannot("hostler's agent cannot be put there: %w", err)
	}
	if len(prog.Args) > 1 {
		return prog, "", cannot("hostler's agent is started by more than one word: %q", prog.Args)
	}
	f, err := os.Open(prog.Path)
	if err != nil {
		return prog, "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return prog, "", err
	}
	return prog, hex.EncodeToString(h.Sum(nil)), nil
}

// launch runs the program and asks whether it answers. After an error the running that it returns
// has ended.
func (a *Agent) launch(ctx context.Context, prog agent.Program, digest, above string) (*running, error) {
	life, stop := context.WithCancel(context.Background()) // it outlives who asked first
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	r := &running{stop: stop, ended: make(chan struct{})}
	r.client = agent.New(&channel{outR, inW})
	args := []string{"sh", "-c", script, "sh", digest, strings.Join(prog.Args, " "), a.opt.Work, above}
	go func() {
		defer close(r.ended)
		defer stop()
		r.exit, r.err = a.conn.Run(life, &compute.Command{Args: args, Stdin: inR, Stdout: outW, Stderr: &r.said})
		_ = outW.Close()
		_ = inR.Close()
	}()
	err := r.client.Ping(ctx)
	if err != nil {
		if ctx.Err() == nil {
			select { // why it did not answer is what it ended with
			case <-r.ended:
			case <-ctx.Done():
			}
		}
		r.end()
	}
	return r, err
}

// tidyScript keeps the programs that were put last; one that runs, runs on.
const tidyScript = `cd "$1"&&ls -t|tail -n +5|while read -r d;do case $d in *[!0-9a-f]*);;*)rm -rf "./$d";;esac;done`

// tidy removes programs of other hostlers that are long out of use. Where it cannot, no more than
// their room is lost.
func (a *Agent) tidy(ctx context.Context, dir string) {
	_, _ = a.conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c", tidyScript, "sh", dir}})
}

// channel is the two pipes as one stream.
type channel struct {
	r *io.PipeReader
	w *io.PipeWriter
}

func (c *channel) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c *channel) Write(p []byte) (int, error) { return c.w.Write(p) }
func (c *channel) Close() error                { return errors.Join(c.w.Close(), c.r.Close()) }

// missing reports where the program belongs and for which architecture, when it ended because it is
// not there.
func (r *running) missing() (where, arch string, ok bool) {
	if r.err != nil || r.exit.Code != missing {
		return "", "", false
	}
	for line := range strings.Lines(r.said.String()) {
		words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(words) != 4 || words[0] != "hostler" || words[1] != "Linux" || !strings.HasPrefix(words[3], "/") {
			continue
		}
		switch words[2] {
		case "x86_64", "amd64":
			return words[3], "amd64", true
		case "aarch64", "arm64":
			return words[3], "arm64", true
		}
	}
	return "", "", false
}

// why says why the program does not run.
func (r *running) why(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.err != nil:
		return r.err
	}
	said := strings.TrimSpace(r.said.String())
	if rest, ok := strings.CutPrefix(said, "hostler "); ok && r.exit.Code == missing {
		kind, _, _ := strings.Cut(rest, " /")
		return cannot("hostler has no agent for a computer of this kind: %s", kind)
	}
	if r.exit.Status() == 0 && said == "" {
		return err
	}
	return cannot("hostler's agent does not run there: it ended with %d: %s", r.exit.Status(), said)
}

// put puts the program into a directory there.
func (a *Agent) put(ctx context.Context, prog agent.Program, dir string) error {
	f, err := os.Open(prog.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		t := tar.NewWriter(w)
		err := t.WriteHeader(&tar.Header{Name: "hostler-agent", Typeflag: tar.TypeReg, Mode: 0o755, Size: fi.Size(), ModTime: fi.ModTime()})
		if err == nil {
			_, err = io.Copy(t, f)
		}
		if err == nil {
			err = t.Close()
		}
		_ = w.CloseWithError(err)
	}()
	err = a.conn.Put(ctx, dir, r)
	_ = r.Close()
	<-packed
	return err
}

// tail keeps the last bytes of what is written to it.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const mostSaid = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b.Write(p)
	if over := t.b.Len() - mostSaid; over > 0 {
		t.b.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
