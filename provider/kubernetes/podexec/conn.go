package podexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/files"
	"github.com/hostler-project/hostler/remote/shell"
)

// Conn is a connection to a pod by exec alone, with one exec for each command. It needs sh there,
// and for files the tools that come with it. Exec has no signals, directory, environment or user. A
// script at the start of standard input sets directory and environment and tells the process id; a
// second exec sends signals.
//
// Exec does not tell a stream's end from a cut: API servers report success for both. When a program
// ends, unread input resets the connection and loses output. So the script confirms the end of each
// stream, and stays until we hang up. Ports, sockets, workspaces, kept runs and users need the
// guest program.
type Conn struct {
	id  compute.ID
	in  Container
	pod Pod

	life context.Context // ends with Close
	stop context.CancelFunc
	busy sync.WaitGroup
	over atomic.Pointer[string] // why the pod has ended; nil: it has not, as far as is known
}

var _ compute.Conn = (*Conn)(nil)

// Pod is what the cluster knows of the pod of a connection.
type Pod struct {
	// AwaitEnd waits for the pod's end until done is closed. If the streams outlive the pod, it
	// calls end. why gets the reason.
	AwaitEnd func(done <-chan struct{}, why *atomic.Pointer[string], end context.CancelFunc)
	// Replaced returns an error if the pod is not the one that was entered.
	Replaced func() error
	// Lost returns the error of a lost connection, with the reason if it is known. closed means
	// that we ended it.
	Lost func(ctx context.Context, err error, why *atomic.Pointer[string], closed bool) error
	// Killed returns why a command may have been killed; "": nothing is known.
	Killed func(ctx context.Context) string
	// Refused explains the API server's refusal to run a command.
	Refused func(err error) error
}

// Connect returns a connection to a container of an instance's pod. It asks nothing of the cluster.
func Connect(id compute.ID, in Container, pod Pod) *Conn {
	c := &Conn{id: id, in: in, pod: pod}
	c.life, c.stop = context.WithCancel(context.Background())
	c.busy.Go(func() { pod.AwaitEnd(c.life.Done(), &c.over, c.stop) })
	return c
}

// farTime is how long our own questions beside a command may take.
const farTime = 10 * time.Second

// signalAgain is the pause before a signal is sent again whose exec was cut.
const signalAgain = 200 * time.Millisecond

func (c *Conn) fail(kind error, text string, args ...any) error {
	return &compute.Error{Op: "kubernetes.Run", ID: c.id, Kind: kind, Err: fmt.Errorf(text, args...)}
}

// check returns an error for a command that can never be started.
func (c *Conn) check(cmd *compute.Command) error {
	switch {
	case cmd.User != "":
		return c.fail(compute.ErrCannotStart, "by exec alone a command runs as the pod's user, not as %s", cmd.User)
	case cmd.Workspace != "", cmd.Hold != nil && cmd.Hold.Keep:
		return &compute.Error{
			Op: "kubernetes.Run", ID: c.id, Kind: compute.ErrInvalid,
			Err:  errors.New("by exec alone there are neither workspaces nor kept runs"),
			Hint: "set way = agent in the source",
		}
	}
	for _, w := range append([]string{cmd.Dir}, cmd.Args...) {
		if strings.IndexByte(w, 0) >= 0 {
			return c.fail(compute.ErrCannotStart, "an argument has a NUL byte")
		}
	}
	for k, v := range cmd.Env {
		if !shell.IsName(k) || strings.IndexByte(v, 0) >= 0 {
			return c.fail(compute.ErrCannotStart, "no shell can set the environment variable %s", k)
		}
	}
	return nil
}

// command is one running command.
type command struct {
	*Conn
	cmd    *compute.Command
	mark   string
	began  chan struct{} // closed when the command has begun
	pid    int           // of the command's shell; valid when began is closed
	own    string        // of the command itself; "": not known
	leads  bool          // the shell leads its own process group
	failed int           // the script's status when it could not start the command; 0: it could
	ends   bool          // the command was told to end
	unread chan struct{} // closed when the caller takes no more output
	whole  chan struct{} // closed when all output is there
	status int           // how the command ended; valid when whole is closed
}

var errCut = errors.New("the connection to the pod was cut before the command's end")

// Run implements compute.Conn.
func (c *Conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if err := ctx.Err(); err != nil {
		return compute.Exit{}, err
	}
	if err := c.check(cmd); err != nil {
		return compute.Exit{}, err
	}
	if c.life.Err() != nil {
		if c.over.Load() != nil {
			return compute.Exit{}, c.lost(ctx, errors.New("the connection ended"))
		}
		return compute.Exit{}, c.fail(compute.ErrLost, "the connection is closed")
	}
	if err := c.pod.Replaced(); err != nil { // exec finds the pod by its name alone
		return compute.Exit{}, c.fail(compute.ErrLost, "%w", err)
	}
	c.busy.Add(1)
	defer c.busy.Done()
	own := shell.Nonce()
	r := &command{
		Conn: c, cmd: cmd, mark: shell.CommandMark + "=" + own, began: make(chan struct{}), unread: make(chan struct{}),
		whole: make(chan struct{}),
	}
	return r.run(ctx, own)
}

// run starts the script, and the command in it, and waits for its end. It returns when the caller's
// streams are not written any more.
func (r *command) run(ctx context.Context, own string) (compute.Exit, error) {
	nonce, end, tty := shell.Nonce(), shell.Nonce(), r.cmd.TTY != nil
	line := shell.Line(nonce, r.cmd, map[string]string{shell.CommandMark: own})
	args, input := []string{"sh", "-c", shell.Boot}, shell.WithExitMark(line, end, tty, !tty && r.cmd.Stdin == nil)+"\n"
	// A terminal echoes its input, which must not show the script. In the request's address API
	// servers and proxies would log it.
	if tty {
		args, input = []string{"sh", "-c", "stty -echo -icanon 2>/dev/null;" + shell.Boot}, "stty icanon echo 2>/dev/null;"+input
	}
	term := r.cmd.Term
	if tty && term == "" {
		term = "xterm"
	}
	if term != "" {
		args = slices.Concat([]string{"env", "TERM=" + term}, args)
	}
	var stderr shell.Tail
	stdout, bad := shell.Outputs(r.cmd, func() { close(r.unread) })
	streams := atomic.Int32{}
	streams.Store(1)
	ended := func(status int) {
		if streams.Add(-1) == 0 {
			r.status = status
			close(r.whole)
		}
	}
	out := &shell.ExitMark{Nonce: end, Ended: ended, W: &shell.Preamble{
		Nonce: nonce, W: stdout,
		Began: func(pid, group int, rest []string) {
			r.pid, r.own, r.leads = pid, strings.Join(rest, ""), pid == group
			close(r.began)
		},
		Failed: func(status int) { r.failed = status },
	}}
	o := remotecommand.StreamOptions{Tty: tty, Stdout: out}
	rest := []*shell.ExitMark{out}
	if !tty {
		streams.Store(2)
		said := &shell.ExitMark{Nonce: end, Ended: ended, W: io.MultiWriter(&stderr, bad)}
		o.Stderr = said
		rest = append(rest, said)
	}
	feed := &feed{first: strings.NewReader(input), rest: r.cmd.Stdin, tty: tty, began: r.began, gone: make(chan struct{})}
	o.Stdin = feed
	sizes := newSizes(r.cmd)
	if o.Tty {
		o.TerminalSizeQueue = sizes
	}
	life, stop := context.WithCancel(r.life)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- r.in.Start(life, args, o) }()
	err := r.await(ctx, done, sizes)
	close(feed.gone)
	sizes.close()
	if err != nil {
		stop()
		if r.over.Load() == nil {
			r.kill()
		}
		hush(rest)
		return compute.Exit{}, err
	}
	if isClosed(r.whole) {
		return r.exit(ctx, nil, stderr.LastLine())
	}
	err = <-done
	for _, e := range rest {
		e.Stop()
	}
	return r.exit(ctx, err, stderr.LastLine())
}

// hush stops all writes to the caller's streams: after Run the caller may use them otherwise. It
// waits at most farTime for a write of the caller that hangs.
func hush(all []*shell.ExitMark) {
	var each sync.WaitGroup
	quiet := make(chan struct{})
	for _, e := range all {
		each.Go(e.Stop)
	}
	go func() { each.Wait(); close(quiet) }()
	select {
	case <-quiet:
	case <-time.After(farTime):
	}
}

// await waits for the command's end and passes signals on. It puts the result of the stream back
// into done.
func (r *command) await(ctx context.Context, done chan error, sizes *sizes) error {
	signals, resize, unread := r.cmd.Signals, r.cmd.Resize, r.unread
	for {
		select {
		case <-r.whole: // processes that are left there may hold the streams for ever
			return nil
		case err := <-done:
			done <- err
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-r.life.Done():
			if r.over.Load() != nil {
				return r.lost(ctx, errors.New("the connection ended"))
			}
			return r.fail(compute.ErrLost, "the connection is closed")
		case <-unread:
			unread = nil
			r.signal(ctx, "PIPE")
		case name, ok := <-signals:
			if !ok {
				signals = nil
			} else if compute.SignalNumber(name) != 0 {
				r.ends = r.ends || slices.Contains([]string{"INT", "TERM", "QUIT", "KILL"}, name)
				r.signal(ctx, name)
			}
		case s, ok := <-resize:
			if !ok {
				resize = nil
			} else {
				sizes.put(s)
			}
		}
	}
}

// signal sends a signal to the command's group by an exec of its own. If the group is shared, or
// its shell would end too, the processes are found by their mark. A cut exec is repeated while the
// command lives: a signal may arrive twice, but is never lost.
func (r *command) signal(ctx context.Context, name string) {
	select {
	case <-r.began:
	case <-ctx.Done():
		return
	case <-time.After(farTime):
		return
	}
	ctx, cancel := context.WithTimeout(ctx, farTime)
	defer cancel()
	var script string
	args := []string{name, r.mark}
	switch alone := name == "KILL" || name == "STOP"; {
	case r.leads && !alone:
		script, args = `kill -"$1" -"$2"`, []string{name, strconv.Itoa(r.pid)}
	case r.own != "" && alone:
		// the shell reports it; a command that is just starting has no mark yet
		script, args = `kill -"$1" "$3" 2>/dev/null;`+shell.SignalTree, append(args, r.own)
	default:
		script = shell.SignalTree
	}
	for {
		_, err := r.in.Say(ctx, nil, script, args...)
		var status *StatusError
		if err == nil || errors.As(err, &status) { // it ran to its end
			return
		}
		select {
		case <-r.whole:
			return
		case <-ctx.Done():
			return
		case <-time.After(signalAgain):
		}
	}
}

// kill ends the command and all processes that it started.
func (r *command) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), farTime)
	defer cancel()
	script := shell.KillTree
	select {
	case <-r.began:
		if r.leads {
			script = `kill -KILL -"$3" 2>/dev/null;` + script
		}
	default:
	}
	_, _ = r.in.Say(ctx, nil, script, "KILL", r.mark, strconv.Itoa(r.pid))
}

// exit reads the end of the stream. err counts if the end of the output is missing.
func (r *command) exit(ctx context.Context, err error, said string) (compute.Exit, error) {
	var status utilexec.CodeExitError
	isStatus, whole := errors.As(err, &status), isClosed(r.whole)
	switch {
	case r.failed == 126:
		return compute.Exit{}, r.fail(compute.ErrNotExecutable, "%s", r.cmd.Args[0])
	case r.failed == 127:
		return compute.Exit{}, r.fail(compute.ErrNoCommand, "%s", r.cmd.Args[0])
	case r.failed != 0:
		return compute.Exit{}, r.fail(compute.ErrCannotStart, "%s: no such directory", r.cmd.Dir)
	case r.started() && (whole || isStatus && status.Code > 128):
		// if not whole, the shell was killed together with the command
		if r.ends && !r.cmd.Stay {
			r.kill()
		}
		code := r.status
		if !whole {
			code = status.Code
		}
		if code == 128+compute.SignalNumber("KILL") { // exec reports no signals
			return compute.Exit{Code: code, Reason: r.pod.Killed(ctx)}, nil
		}
		return compute.Exit{Code: code}, nil
	case r.started() && (err == nil || isStatus):
		err = errCut
	case whole:
		return compute.Exit{}, r.fail(compute.ErrCannotStart, "sh there ended with status %d: %s", r.status, said)
	case Missing(err):
		return compute.Exit{}, r.fail(compute.ErrCannotStart, "there is no sh in the pod")
	case isStatus:
		return compute.Exit{}, r.fail(compute.ErrCannotStart, "sh there ended with status %d: %s", status.Code, said)
	case err == nil:
		return compute.Exit{}, r.fail(compute.ErrLost, "the stream ended before the command began")
	case !r.started() && (apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)):
		return compute.Exit{}, r.pod.Refused(err)
	}
	return compute.Exit{}, r.lost(ctx, err)
}

// lost returns the error of a lost connection, with the reason if it is known.
func (c *Conn) lost(ctx context.Context, err error) error {
	return c.pod.Lost(ctx, err, &c.over, c.life.Err() != nil)
}

func (r *command) started() bool { return isClosed(r.began) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// feed is the script's line, followed by the command's own input until gone is closed. A read of
// the caller's input cannot be stopped: what it still reads is lost, as with a pipe.
type feed struct {
	first *strings.Reader
	rest  io.Reader
	tty   bool
	began chan struct{}
	gone  chan struct{}

	inside bool // within a line that is being typed
	over   bool // the end was typed
}

// Read implements io.Reader: first the script's line, then the command's input.
func (f *feed) Read(b []byte) (int, error) {
	if f.first.Len() > 0 {
		return f.first.Read(b)
	}
	// until the script has set the terminal, the end character and ^C would act by themselves
	if f.tty {
		select {
		case <-f.gone:
		case <-f.began:
		}
	}
	if isClosed(f.gone) {
		return 0, io.EOF
	}
	// the script gives the command an empty input; that of the exec stays open, see Conn
	if f.over || f.rest == nil && !f.tty {
		<-f.gone
		return 0, io.EOF
	}
	n, err := 0, io.EOF
	if f.rest != nil {
		n, err = f.rest.Read(b)
	}
	if n > 0 {
		f.inside = b[n-1] != '\n'
		return n, nil // an error comes again with the next read
	}
	// a terminal's input ends by a character: once for the line, and once for the end
	if err == io.EOF && f.tty {
		f.over = true
		n = 1
		b[0] = 4
		if f.inside && len(b) > 1 {
			n, b[1] = 2, 4
		}
		return n, nil
	}
	return n, err
}

// sizes passes a terminal's sizes to the executor.
type sizes struct {
	c    chan remotecommand.TerminalSize
	done chan struct{}
}

func newSizes(cmd *compute.Command) *sizes {
	s := &sizes{c: make(chan remotecommand.TerminalSize, 1), done: make(chan struct{})}
	if cmd.TTY != nil {
		s.put(*cmd.TTY)
	}
	return s
}

// put offers a size in place of one that is still waiting.
func (s *sizes) put(to compute.Size) {
	for {
		select {
		case s.c <- remotecommand.TerminalSize{Width: uint16(to.Cols), Height: uint16(to.Rows)}:
			return
		case <-s.c:
		}
	}
}

func (s *sizes) close() { close(s.done) }

// Next implements remotecommand.TerminalSizeQueue.
func (s *sizes) Next() *remotecommand.TerminalSize {
	select {
	case size := <-s.c:
		return &size
	case <-s.done:
		return nil
	}
}

// Put implements compute.Conn, with one exec for each file.
func (c *Conn) Put(ctx context.Context, dir string, tar io.Reader) error {
	err := files.Put(ctx, &files.Shell{Runner: c}, dir, tar, func(err error) bool { return errors.Is(err, compute.ErrLost) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return files.Fault("kubernetes.Put", err)
}

// Get implements compute.Conn. It needs tar there.
func (c *Conn) Get(ctx context.Context, path string, w io.Writer) error {
	err := files.Get(ctx, c, path, w)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, files.ErrNoTar):
		return &compute.Error{
			Op: "kubernetes.Get", ID: c.id, Kind: compute.ErrFailed, Err: err,
			Hint: "copying from a pod by exec needs it there; way = agent does not",
		}
	}
	return files.Fault("kubernetes.Get", err)
}

// Close implements compute.Conn.
func (c *Conn) Close() error {
	c.stop()
	c.busy.Wait()
	return nil
}
