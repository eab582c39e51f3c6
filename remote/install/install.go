// Package install puts hostler's agent on a computer that is reached in another way, such as ssh,
// and keeps it running there. The agent is one process. It speaks its protocol over channels of
// the other connection and listens on no port.
//
// The program is copied once into the user's cache on that computer, under its hash. It needs only
// sh, runs as the user, and ends with its channel, or when the last command that it keeps has
// ended.
//
//	conn := install.Over(login, id, mark, find) // an ssh log-in with workspaces and kept runs
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

// options say where the program comes from and where it keeps workspaces. Both are required.
type options struct {
	Find agent.Finder
	// the directory of workspaces below hostler's in the user's cache there, as Place has it
	Work string
}

// Place returns the directory of the workspaces of a mark, below hostler's in the user's cache.
func Place(mark string) string {
	sum := sha256.Sum256([]byte(mark))
	return "workspaces/" + hex.EncodeToString(sum[:6])
}

// Machine stands before a Place for the workspaces of other users, where root logs in: they cannot
// reach the cache of root.
const Machine = "/var/cache/hostler/"

// Agent is the agent behind a Conn. It is started at the first use, and again when it has ended.
// Its methods may be called from many goroutines.
type Agent struct {
	conn compute.Conn
	opt  options
	turn chan struct{} // one slot: its holder starts the program or checks it

	// where the program is, one of elsewhere; "": in the user's cache. It belongs to the turn
	above string

	mu     sync.Mutex
	now    *running
	closed bool
}

// running is one process of the agent.
type running struct {
	client *agent.Client
	stop   context.CancelFunc
	ended  chan struct{} // closed when the process has ended; then exit and err are there
	exit   compute.Exit
	err    error
	said   tail
}

// New returns the agent behind conn, and starts nothing. Close does not close conn.
func New(conn compute.Conn, opt options) *Agent {
	return &Agent{conn: conn, opt: opt, turn: make(chan struct{}, 1)}
}

// Client returns a connection to the agent, which it installs and starts if it does not run. The
// connection is shared, and callers do not close it. The error is ErrInvalid where the agent cannot
// run: no program for such a computer, a file system that runs no programs, no sh.
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

// Close ends the agent and all commands that run through it.
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

// The exit statuses of a start: the program is not installed, its directory belongs to another
// user, or its file system runs no programs.
const (
	missing = 44
	notOurs = 45
	notRun  = 126
)

// elsewhere are the places for the program, in a directory of the user's own, when the file system
// of the user's cache runs no programs.
var elsewhere = []string{"/var/tmp", "/tmp", "/dev/shm"}

// next returns the place to try after above; "": none is left.
func next(above string) string {
	i := slices.Index(elsewhere, above) + 1 // after the cache: 0
	if i == len(elsewhere) {
		return ""
	}
	return elsewhere[i]
}

// script starts the program with the digest $1. $2 is its own argument, if it has one, and $3 is
// the directory of workspaces. Where the program is missing, the script prints which kind of
// computer this is, and the directory where the program belongs. That is the user's cache or, with
// $4, a directory of the user's own below $4.
const script = `c=${XDG_CACHE_HOME:-$HOME/.cache}/hostler
a=$c
[ -z "$4" ]||{ a=$4/hostler-$(id -u);mkdir -m 700 "$a" 2>/dev/null
case $(ls -ldn "$a" 2>/dev/null) in drwx------*);;*)echo "$a is not for this user alone" >&2;exit 45;;esac
[ -O "$a" ]||{ echo "$a is another user's" >&2;exit 45;};}
p=$a/agents/$1/hostler-agent
[ -f "$p" ]||{ echo "hostler $(uname -s) $(uname -m) $a" >&2;exit 44;}
exec "$p" $2 serve --keep-env --daemon="$3" --work="$c/$3" --work-others="` + Machine + `$3" stdio`

// start starts the program, and installs it first where it is missing.
func (a *Agent) start(ctx context.Context) (*running, error) {
	arch := runtime.GOARCH // the most likely one
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
					"hostler's agent cannot be run there: neither the user's cache nor %s is on a file system that "+
						"lets him run programs (noexec)",
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

// launch runs the program and waits for its answer. After an error the process has ended.
func (a *Agent) launch(ctx context.Context, prog agent.Program, digest, above string) (*running, error) {
	life, stop := context.WithCancel(context.Background()) // it outlives the first caller
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
			select { // its exit says why it did not answer
			case <-r.ended:
			case <-ctx.Done():
			}
		}
		r.end()
	}
	return r, err
}

// tidyScript keeps the four programs that were installed last. A running program goes on.
const tidyScript = `cd "$1"&&ls -t|tail -n +5|while read -r d;do case $d in *[!0-9a-f]*);;*)rm -rf "./$d";;esac;done`

// tidy removes programs of earlier versions. A failure only costs their disk space.
func (a *Agent) tidy(ctx context.Context, dir string) {
	_, _ = a.conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c", tidyScript, "sh", dir}})
}

// channel makes one stream of two pipes.
type channel struct {
	r *io.PipeReader
	w *io.PipeWriter
}

func (c *channel) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c *channel) Write(p []byte) (int, error) { return c.w.Write(p) }
func (c *channel) Close() error                { return errors.Join(c.w.Close(), c.r.Close()) }

// missing reports where the program belongs and for which architecture, if it was not installed.
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

// why returns why the program does not run.
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

// put copies the program into a directory there.
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

// tail keeps the last bytes that were written to it.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const mostSaid = 4 << 10

// Write keeps the last mostSaid bytes.
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
