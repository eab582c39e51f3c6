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
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/shell"
	"github.com/hostler-project/hostler/remote/tree"
)

// Options say how commands become processes of this machine. The zero value runs them as they are,
// with a small environment.
type Options struct {
	// put before every command: "docker", "exec", "-i", NAME; it must pass on stdin, run a POSIX
	// shell, and wait
	Prefix []string
	// the directory that is / behind the prefix or with Chroot, and needs one of them; file names
	// are resolved in it. "": our own
	Root   string
	Chroot bool // make Root the root directory of every command; only root may
	// where commands start; "": our own directory, or with a prefix or a root the user's home
	Dir string
	// commands get our whole environment; else PATH, HOME, USER, LOGNAME, SHELL, LANG, TERM
	KeepEnv bool
	Mark    map[string]string // environment of every process, by which it is found again
	// Put gives files the owners, by number, that the stream names; only root may
	Owner bool

	// a directory of a cgroup v2 for a group of each command: all processes that a command leaves,
	// however hidden, end with it, unless Command.Stay; nil: none
	Cgroup *os.File
	// without Cgroup, for the same: a program that calls Reap, between us and each command; not
	// behind a prefix, or in a root; nil: none
	Reaper []string
	// counts the processes killed for lack of memory until now, where the groups do not; nil:
	// unknown
	OOMKills func() int
	// reaps orphans, and must know all commands; nil: no orphans are reaped here
	Orphans *Orphans
	// with Orphans and no Cgroup: we are the first process of a pid name space, and all its others
	// descend from commands
	Alone bool
	Own   bool // Usage counts the processes in sight: the machine has others too
	// no watch that ends commands when we are killed: the kernel ends them, as we are the first
	// process of a name space
	NoWatch bool
}

// CommandMark is the environment variable that marks the descendants of one command, where neither
// a Cgroup nor a Reaper knows them. Its value is that command's alone. A process that is to outlive
// the run that happens to start it must be started without it.
const CommandMark = shell.CommandMark

// Conn is a compute.Conn whose commands are processes of this machine. It is also a provider.Dialer
// and a provider.Listener; these return ErrInvalid behind a prefix, where the network is unknown.
// Its methods may be called from many goroutines.
type Conn struct {
	opt     Options
	done    chan struct{} // closed by Close
	groups  *groups       // nil: no cgroup
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

var (
	_ compute.Conn      = (*Conn)(nil)
	_ provider.Dialer   = (*Conn)(nil)
	_ provider.Listener = (*Conn)(nil)
)

// New returns a connection that runs local processes. It does nothing yet: the first use fails if
// this machine refuses something that opt asks for.
func New(opt Options) *Conn {
	e := &Conn{opt: opt, done: make(chan struct{})}
	if opt.Cgroup != nil {
		e.groups = &groups{dir: opt.Cgroup}
	}
	return e
}

// Prepare does ahead of time what the first command would wait for. That command reports a failure.
func (e *Conn) Prepare() {
	if e.groups != nil {
		e.groups.prepare()
	}
}

// Close kills all commands and waits for their end, but not for their callers' readers and writers.
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

// sound refuses options by which files and commands would be in different places.
func (e *Conn) sound(op string) error {
	if e.opt.Root != "" && !e.opt.Chroot && len(e.opt.Prefix) == 0 {
		return &compute.Error{
			Op: op, Kind: compute.ErrInvalid,
			Err: errors.New("a root directory needs a prefix that leads into it, or Chroot"),
		}
	}
	return nil
}

// enter counts a call, unless the connection is closed. The caller must call e.running.Done.
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

// open returns an error if the connection is closed.
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
//
// When it is cancelled, or ends after an interrupt (INT, TERM, QUIT, KILL), its descendants end
// too, in whatever group and session they are. Without Cgroup and Reaper those stay that have
// emptied their environment and left the group. Without these two, processes that a command leaves
// at a normal end stay. Run does not wait for output that they write later than a moment after that
// end.
//
// When this process dies, even by SIGKILL, a command that has run for a fifth of a second is killed
// with its group, or session. That does not reach what a prefix runs elsewhere (docker exec). Only
// a cancelled ctx, Close and signals reach that, by running the prefix once more.
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
		// A script without an interpreter line is the shell's, as for execvp and every shell.
		p.args = append([]string{"sh", p.path}, p.args[1:]...)
		p.path = "/bin/sh"
		exit, err = e.start(ctx, cmd, p)
	}
	if err != nil || p.prefixed == nil {
		return exit, err
	}
	return p.prefixed.result(cmd, e.farDir(cmd.Dir), e.opt.Prefix[0], exit)
}

func (e *Conn) start(ctx context.Context, cmd *compute.Command, p *program) (compute.Exit, error) {
	if cmd.TTY != nil {
		return e.runTerminal(ctx, cmd, p)
	}
	return e.runPlain(ctx, cmd, p)
}

// runPlain runs a command without a terminal.
func (e *Conn) runPlain(ctx context.Context, cmd *compute.Command, p *program) (compute.Exit, error) {
	pipes := &stdio{}
	defer pipes.close()
	c := p.command()
	c.SysProcAttr.Setpgid = true
	term, lend := ownTerminal(cmd)
	stdout, stderr, line := cmd.Stdout, cmd.Stderr, ""
	if b := p.prefixed; b != nil {
		line, stdout, stderr = b.line, b.stdout(stdout, nil), io.MultiWriter(&b.said, orDiscard(stderr))
		term, lend = nil, false // this process reads from it
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
	j := &job{pid: c.Process.Pid, descendants: k, mark: p.mark, terminal: term, prefixed: p.prefixed, reaped: p.reaped}
	if lend || !seesStops {
		j.foreground()
	}
	return e.await(ctx, cmd, c, j, pipes.finish)
}

// await serves a started process to its end: signals, sizes, cancellation. It calls finish after
// the end and before it returns.
func (e *Conn) await(ctx context.Context, cmd *compute.Command, c *exec.Cmd, j *job, finish func()) (compute.Exit, error) {
	if h := cmd.Hold; h != nil && h.Begun != nil {
		h.Begun()
	}
	ended, cause := make(chan struct{}), make(chan error, 1)
	interrupted := false // for the goroutine, until cause is read
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
					interrupted = interrupted || endSignals[n]
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
	err := <-cause // no goroutine sends signals any more
	if interrupted && !cmd.Stay {
		j.killTree()
	}
	j.descendants.ended() // while the number is still the command's
	// this reaps; the status is read below, and no copying goroutine can fail
	e.opt.Orphans.wait(c)
	j.descendants.gone()
	j.reaped()
	j.background()
	finish()
	ws, reason := j.descendants.exitStatus(unix.WaitStatus(c.ProcessState.Sys().(syscall.WaitStatus)))
	if err != nil {
		return compute.Exit{}, err
	}
	if ws.Signaled() {
		return compute.Exit{Signal: strings.TrimPrefix(unix.SignalName(ws.Signal()), "SIG"), Reason: reason}, nil
	}
	return compute.Exit{Code: ws.ExitStatus(), Reason: reason}, nil
}

// endSignals are the signals that ask for a command's end, and so for its descendants'. HUP is
// not one: processes that outlive a terminal stay when it is closed.
var endSignals = map[syscall.Signal]bool{syscall.SIGINT: true, syscall.SIGTERM: true, syscall.SIGQUIT: true, syscall.SIGKILL: true}

// cannotStart tells apart the reasons why a process did not start.
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
