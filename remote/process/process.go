package process

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
	"github.com/hostler-project/hostler/remote/tree"
)

// Options say how commands become processes of this machine. The zero value runs them as they are,
// with a small environment.
type Options struct {
	// put before every command: "docker", "exec", "-i", NAME; it must hand on stdin, have a POSIX
	// shell behind it, and wait
	Prefix []string
	// the directory that is / behind the prefix or with Chroot, and needs one of them; file names
	// are resolved in it. "": our own
	Root   string
	Chroot bool // make Root the root directory of every command; only root may
	// where commands start; "": our own directory, or with a prefix or a root the user's home
	Dir string
	// commands get our whole environment; else PATH, HOME, USER, LOGNAME, SHELL, LANG, TERM
	KeepEnv bool
	Mark    map[string]string // environment that every process gets, so that it is found again
	// Put gives files the owners, by number, that the stream names; only root may
	Owner bool

	// What a command leaves running when it ends, however it has hidden that, ends too unless
	// Command.Stay, where one of the first two is given. a directory of a cgroup v2 that we may
	// make groups in: each command gets one. nil: none
	Cgroup *os.File
	// else: a program that calls Reap, in between us and each command; no processes behind a
	// prefix, or in a root. nil: none
	Reaper []string
	// how many were killed for want of memory until now, where the groups do not count it; nil:
	// nobody knows
	OOMKills func() int
	// buries orphans, so that commands must be known to it; nil: nobody does here
	Orphans *Orphans
	// with Orphans, where there is no Cgroup: we are the first process of a pid name space, and its
	// others are all commands' descendants
	Alone bool
	Own   bool // Usage counts the processes in sight: the machine has others too
	// nobody watches over us to end commands when we are killed, as the kernel does: we are a name
	// space's first process
	NoWatch bool
}

// CommandMark is the environment variable by which the descendants of one command are found, where
// neither a Cgroup nor a Reaper knows them. Its value is that command's alone. What shall outlive a
// run inside which it happens to be started must be started without it.
const CommandMark = shell.CommandMark

// Conn is a compute.Conn whose commands are processes of this machine. It is also a compute.Dialer
// and a compute.Listener, which say ErrInvalid behind a prefix, where nobody knows which network is
// there.
type Conn struct {
	opt     Options
	done    chan struct{} // closed by Close
	groups  *groups       // nil: no cgroup
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

var (
	_ compute.Conn     = (*Conn)(nil)
	_ compute.Dialer   = (*Conn)(nil)
	_ compute.Listener = (*Conn)(nil)
)

// New returns a connection that runs local processes. It does nothing yet; what opt asks for and
// this machine refuses shows at the first use.
func New(opt Options) *Conn {
	e := &Conn{opt: opt, done: make(chan struct{})}
	if opt.Cgroup != nil {
		e.groups = &groups{dir: opt.Cgroup}
	}
	return e
}

// Prepare makes ready what the first command would else wait for. What cannot be made ready shows
// at that command.
func (e *Conn) Prepare() {
	if e.groups != nil {
		e.groups.prepare()
	}
}

// Close kills what runs and waits for its end; not for those who still read or write for it.
func (e *Conn) Close() error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.done)
	}
	e.mu.Unlock()
	e.running.Wait()
	if e.groups != nil {
		e.groups.close()
	}
	return nil
}

// sound refuses options under which files and commands would not be in the same place.
func (e *Conn) sound(op string) error {
	if e.opt.Root != "" && !e.opt.Chroot && len(e.opt.Prefix) == 0 {
		return &compute.Error{
			Op: op, Kind: compute.ErrInvalid,
			Err: errors.New("a root directory needs a prefix that leads into it, or Chroot"),
		}
	}
	return nil
}

// enter counts a process in, unless the connection is closed. The caller must call e.running.Done.
func (e *Conn) enter(op string) error {
	if err := e.sound(op); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed(op)
	}
	e.running.Add(1)
	return nil
}

// open says whether the connection is still open.
func (e *Conn) open(op string) error {
	select {
	case <-e.done:
		return errClosed(op)
	default:
		return e.sound(op)
	}
}

func errClosed(op string) error {
	return &compute.Error{Op: op, Kind: compute.ErrLost, Err: errors.New("the connection is closed")}
}

// Run runs a command as a process group of its own, or a session with a terminal. See compute.Conn.
// When it is cancelled, or ends after it was interrupted (INT, TERM, QUIT, KILL), its descendants
// end too, in whatever group and session they are; without Cgroup and Reaper but for those that
// have emptied their environment and left the group. What it leaves behind when it ends by itself
// stays without these two. Output that processes left behind by the command write later than a
// moment after its end is not waited for. When our own process dies, even by SIGKILL, a command
// that has run for a fifth of a second is killed with its group, or session; but not what a prefix
// runs elsewhere (docker exec), which only a cancelled ctx, Close and signals reach, by the prefix
// used once more.
func (e *Conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if err := ctx.Err(); err != nil {
		return compute.Exit{}, err
	}
	if err := e.enter("exec.Run"); err != nil {
		return compute.Exit{}, err
	}
	reaped := sync.OnceFunc(e.running.Done)
	defer reaped()
	p, err := e.program(cmd)
	if err != nil {
		return compute.Exit{}, err
	}
	p.reaped = reaped
	exit, err := e.start(ctx, cmd, p)
	if errors.Is(err, syscall.ENOEXEC) {
		// A script that names no interpreter is the shell's, as execvp and every shell have it.
		p.args = append([]string{"sh", p.path}, p.args[1:]...)
		p.path = "/bin/sh"
		exit, err = e.start(ctx, cmd, p)
	}
	if err != nil || p.behind == nil {
		return exit, err
	}
	return p.behind.result(cmd, e.farDir(cmd.Dir), e.opt.Prefix[0], exit)
}

func (e *Conn) start(ctx context.Context, cmd *compute.Command, p *program) (compute.Exit, error) {
	if cmd.TTY != nil {
		return e.runTerminal(ctx, cmd, p)
	}
	return e.runPlain(ctx, cmd, p)
}

func (e *Conn) runPlain(ctx context.Context, cmd *compute.Command, p *program) (compute.Exit, error) {
	pipes := &plumbing{}
	defer pipes.close()
	c := p.command()
	c.SysProcAttr.Setpgid = true
	term, lend := ownTerminal(cmd)
	stdout, stderr, line := cmd.Stdout, cmd.Stderr, ""
	if b := p.behind; b != nil {
		line, stdout, stderr = b.line, b.stdout(stdout, nil), io.MultiWriter(&b.said, orDiscard(stderr))
		term, lend = nil, false // it is we who read from it
	}
	var err error
	if c.Stdin, err = pipes.in(line, cmd.Stdin); err != nil {
		return compute.Exit{}, cannotStart(p, err)
	}
	if c.Stdout, err = pipes.out(stdout); err != nil {
		return compute.Exit{}, cannotStart(p, err)
	}
	if cmd.Stderr != nil && same(cmd.Stdout, cmd.Stderr) {
		c.Stderr = c.Stdout
	} else if c.Stderr, err = pipes.out(stderr); err != nil {
		return compute.Exit{}, cannotStart(p, err)
	}
	k, err := e.launch(c, cmd, p)
	if err != nil {
		return compute.Exit{}, cannotStart(p, err)
	}
	pipes.started()
	j := &job{pid: c.Process.Pid, kin: k, mark: p.mark, terminal: term, behind: p.behind, reaped: p.reaped}
	if lend || !seesStops {
		j.foreground()
	}
	return e.await(ctx, cmd, c, j, pipes.finish)
}

// await stays with a started process to its end: signals, sizes, cancellation. finish is called
// when it has ended and before it returns.
func (e *Conn) await(ctx context.Context, cmd *compute.Command, c *exec.Cmd, j *job, finish func()) (compute.Exit, error) {
	if h := cmd.Hold; h != nil && h.Begun != nil {
		h.Begun()
	}
	ended, cause := make(chan struct{}), make(chan error, 1)
	interrupted := false // of the goroutine, until cause is read
	go func() {
		signals, sizes := cmd.Signals, cmd.Resize
		for {
			select {
			case <-ctx.Done():
				j.kill()
				cause <- ctx.Err()
				return
			case <-e.done:
				j.kill()
				cause <- errClosed("exec.Run")
				return
			case s, ok := <-signals:
				if !ok {
					signals = nil
				} else if n := unix.SignalNum("SIG" + s); n != 0 {
					interrupted = interrupted || ends[n]
					j.signal(n)
				}
			case s, ok := <-sizes:
				if !ok {
					sizes = nil
				} else {
					j.resize(s)
				}
			case <-ended:
				cause <- nil
				return
			}
		}
	}()
	var death *deathWatch
	if !e.opt.NoWatch && len(e.opt.Reaper) == 0 {
		death = watchDeath(j)
	}
	j.wait()
	death.stop()
	close(ended)
	err := <-cause // and nobody sends signals any more
	if interrupted && !cmd.Stay {
		j.hunt()
	}
	j.kin.ended() // while the number is still the command's
	// reaps; the status is read below, and there are no copying goroutines to fail
	e.opt.Orphans.wait(c)
	j.kin.gone()
	j.reaped()
	j.background()
	finish()
	ws, reason := j.kin.outcome(unix.WaitStatus(c.ProcessState.Sys().(syscall.WaitStatus)))
	if err != nil {
		return compute.Exit{}, err
	}
	if ws.Signaled() {
		return compute.Exit{Signal: strings.TrimPrefix(unix.SignalName(ws.Signal()), "SIG"), Reason: reason}, nil
	}
	return compute.Exit{Code: ws.ExitStatus(), Reason: reason}, nil
}

// ends are the signals that want a command's end, and so that of its descendants. HUP is none: what
// was made to outlive a terminal stays when that is closed.
var ends = map[syscall.Signal]bool{syscall.SIGINT: true, syscall.SIGTERM: true, syscall.SIGQUIT: true, syscall.SIGKILL: true}

// cannotStart tells the ways apart in which a process does not come to be.
func cannotStart(p *program, err error) error {
	var told *compute.Error
	if errors.As(err, &told) {
		return err
	}
	out := &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: err}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		out.Err = &tree.FileError{Path: p.name, Err: pe.Err}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		out.Kind = compute.ErrNoCommand
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EISDIR):
		out.Kind = compute.ErrNotExecutable
	case errors.Is(err, syscall.EPERM) && os.Geteuid() != 0:
		out.Hint = "another root or another user needs root"
	}
	return out
}
