package sshconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
)

// lateOutput is how long after a command's end its output is waited for: processes that it left in
// the background may hold the pipe for ever.
const lateOutput = 300 * time.Millisecond

// How long a command may take to die, before its connection is asked whether it still answers, and
// how long that may take.
const (
	dyingTime  = 3 * time.Second
	answerTime = 2 * time.Second
	killAgain  = 200 * time.Millisecond
)

// Run runs a command in a session of a kept connection. See compute.Conn.
//
// When it is cancelled, or ends after it was interrupted (INT, TERM, QUIT, KILL), or the connection
// is lost, its descendants end too, in whatever group and session they are: they are known by a
// mark in their environment, so not one that has emptied that and left the group, and none where
// there is no /proc.
//
// The words arrive as they are: a script that quotes each is fed to sh. Env goes over standard
// input ahead of the command's own, never in an argument. User needs sudo that asks for no
// password, or su where we are root. A signal that ended the command and that the ssh protocol has
// no name for is told as KILL. A lost connection is noticed after some 20 s of silence (see
// Options.KeepAlive) and is ErrLost; what ran there is ended by the far side as soon as that
// notices too, unless it has no place for one session more.
func (s *Conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if err := ctx.Err(); err != nil {
		return compute.Exit{}, err
	}
	if s.isClosed() {
		return compute.Exit{}, errClosed("ssh.Run")
	}
	script, err := newSSHScript(cmd, s.opt.Mark)
	if err != nil {
		return compute.Exit{}, err
	}
	sess, err := s.session(ctx)
	if err != nil {
		return compute.Exit{}, err
	}
	defer sess.leave()
	r := &sshRun{Conn: s, cmd: cmd, sess: sess, script: script, started: make(chan struct{}), unread: make(chan struct{})}
	r.group.user, r.group.tty, r.group.mark = cmd.User, cmd.TTY != nil, script.mark
	return r.run(ctx)
}

// sshRun is one command on its way.
type sshRun struct {
	*Conn
	cmd    *compute.Command
	sess   *sshSession
	script *sshScript
	stderr shell.Tail // the last words, for an error when the command never started

	group   sshGroup      // valid once started is closed
	started chan struct{} // closed when the script has told its group
	guarded sync.Once
	ends    bool         // it was told to end, by a signal; of the goroutine of events
	failed  atomic.Int32 // the script's own status when it could not start the command

	out, err sshOutput
	unread   chan struct{} // closed when the caller takes no more output
}

func (r *sshRun) run(ctx context.Context) (compute.Exit, error) {
	if err := r.start(ctx); err != nil {
		if ctx.Err() != nil {
			return compute.Exit{}, ctx.Err()
		}
		kind := compute.ErrCannotStart
		if r.sess.link.lost() || errors.Is(err, errLinkLost) || errors.Is(err, io.EOF) {
			kind = compute.ErrLost
		}
		return compute.Exit{}, r.fail("ssh.Run", kind, err)
	}
	control := r.sess.link.startControl()
	r.failed.Store(-1)
	stdout, stderr := shell.Outputs(r.cmd, func() { close(r.unread) })
	r.out.start(r.sess, &shell.Preamble{
		Nonce: r.script.nonce, W: stdout,
		Began: func(_, group int, _ []string) {
			r.group.pid = group
			r.failed.Store(0)
			close(r.started)
		},
		Failed: func(status int) { r.failed.Store(int32(status)) },
	})
	r.err.start(r.sess.Stderr(), io.MultiWriter(&r.stderr, stderr))
	stop := r.feed()
	events := make(chan struct{})
	quit := make(chan struct{})
	go func() {
		defer close(events)
		r.events(quit, control)
	}()
	err := r.await(ctx, control)
	close(quit)
	stop()
	r.out.stopWriting()
	r.err.stopWriting()
	<-events
	if err == nil && r.ends && !r.cmd.Stay && isClosed(r.started) {
		r.killTree(control)
	}
	control.forget(&r.group)
	if err == nil && r.isClosed() {
		err = r.lost(nil) // and the status is our own doing
	}
	if err != nil {
		return compute.Exit{}, err
	}
	return r.result()
}

// start asks for the terminal and the program.
func (r *sshRun) start(ctx context.Context) error {
	if t := r.cmd.TTY; t != nil {
		term := r.cmd.Term
		if term == "" {
			term = "xterm"
		}
		modes := "\x00"
		if r.script.input != "" { // no echo, and no longest line, until the script has read its own
			modes = string([]byte{ssh.ECHO, 0, 0, 0, 0, ssh.ICANON, 0, 0, 0, 0, 0})
		}
		err := r.sess.request(ctx, "pty-req", struct {
			Term                      string
			Cols, Rows, Width, Height uint32
			Modes                     string
		}{term, uint32(t.Cols), uint32(t.Rows), 0, 0, modes})
		if err != nil {
			return err
		}
	}
	return r.sess.request(ctx, "exec", struct{ Command string }{r.script.command})
}

// await stays with the command to its end, and to the end of its output.
func (r *sshRun) await(ctx context.Context, control *sshControl) error {
	select {
	case <-r.sess.exited:
		r.waitLateOutput(ctx)
		return nil
	case <-r.sess.closed:
		r.waitLateOutput(ctx)
		return nil
	case <-ctx.Done():
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.kill(control)
	}()
	select {
	case <-done:
		return ctx.Err()
	case <-r.sess.link.gone:
		return r.lost(ctx.Err())
	case <-time.After(dyingTime + answerTime + time.Second):
		r.sess.link.conn.Close() // it takes not even our words
		return r.lost(ctx.Err())
	}
}

// lost returns an ErrLost. A nil cause means a lost link, and a closed connection outweighs any
// cause.
func (r *sshRun) lost(cause error) error {
	if r.isClosed() {
		cause = errors.New("the connection is closed")
	}
	if cause == nil {
		cause = errLinkLost
	}
	return r.fail("ssh.Run", compute.ErrLost, cause)
}

// waitLateOutput waits for output that is still on its way. Processes that the command left
// behind may hold it open for ever: when nothing has come for a moment, and then not before an
// answer to a question, there was nothing more. A caller that is slow to take what has come is
// waited for.
func (r *sshRun) waitLateOutput(ctx context.Context) {
	tick := time.NewTicker(lateOutput / 4)
	defer tick.Stop()
	for {
		select {
		case <-r.out.done:
			select {
			case <-r.err.done:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if r.out.idle() < lateOutput || r.err.idle() < lateOutput {
			continue
		}
		before := r.out.reads.Load() + r.err.reads.Load()
		if r.sess.link.ping(ctx) != nil || before == r.out.reads.Load()+r.err.reads.Load() {
			return
		}
	}
}

// events hands on signals and sizes until quit.
func (r *sshRun) events(quit <-chan struct{}, control *sshControl) {
	signals, sizes, started, unread := r.cmd.Signals, r.cmd.Resize, r.started, r.unread
	for {
		select {
		case <-quit:
			return
		case <-started:
			started = nil
			select {
			case <-control.ready:
				r.guard(control)
			case <-quit:
				return
			}
		case <-unread:
			unread = nil
			r.signal(quit, control, "PIPE") // as it would get from a pipe
		case name, ok := <-signals:
			if !ok {
				signals = nil
			} else if compute.SignalNumber(name) != 0 {
				r.ends = r.ends || slices.Contains(ends, name)
				r.signal(quit, control, name)
			}
		case size, ok := <-sizes:
			if !ok {
				sizes = nil
			} else if r.cmd.TTY != nil {
				r.sess.tell("window-change", struct{ Cols, Rows, Width, Height uint32 }{uint32(size.Cols), uint32(size.Rows), 0, 0})
			}
		}
	}
}

// guard tells the control about the group, before anything else about it.
func (r *sshRun) guard(control *sshControl) {
	r.guarded.Do(func() { control.guard(&r.group) })
}

// signal goes to the group by the control, which reaches any group of ours, else by the protocol's
// request.
func (r *sshRun) signal(quit <-chan struct{}, control *sshControl, name string) {
	select {
	case <-r.started:
	case <-quit:
		return
	case <-time.After(answerTime):
	}
	select {
	case <-r.started:
		select {
		case <-control.ready:
			r.guard(control)
			if control.signal(&r.group, name, false) != nil {
				return
			}
		case <-quit:
			return
		}
	default:
	}
	r.sess.tell("signal", struct{ Name string }{name})
}

// ends are the signals that want a command's end, and so that of its descendants. HUP is none: what
// was made to outlive a terminal stays when that is closed.
var ends = []string{"INT", "TERM", "QUIT", "KILL"}

// killTree ends the descendants of a command that was told to end and has, in whatever group and
// session they are.
func (r *sshRun) killTree(control *sshControl) {
	late := time.After(dyingTime)
	select {
	case <-control.ready:
	case <-late:
		return
	}
	if done := control.killTree(&r.group); done != nil {
		select {
		case <-done:
		case <-r.sess.link.gone:
		case <-late:
		}
	}
}

// result is what became of the command, once its session has ended.
func (r *sshRun) result() (compute.Exit, error) {
	select {
	case <-r.sess.exited:
	default:
		return compute.Exit{}, r.lost(nil)
	}
	name := "the shell"
	if len(r.cmd.Args) > 0 {
		name = r.cmd.Args[0]
	}
	switch r.failed.Load() {
	case 0:
		return r.sess.exit, nil
	case 125:
		return compute.Exit{}, r.fail("ssh.Run", compute.ErrCannotStart, fmt.Errorf("no such directory: %s", r.cmd.Dir))
	case 126:
		return compute.Exit{}, r.fail("ssh.Run", compute.ErrNotExecutable, errors.New(name))
	case 127:
		return compute.Exit{}, r.fail("ssh.Run", compute.ErrNoCommand, errors.New(name))
	}
	why := r.stderr.LastLine()
	if why == "" {
		why = fmt.Sprintf("the log-in shell ended with %d before the command began", r.sess.exit.Status())
	}
	return compute.Exit{}, r.fail("ssh.Run", compute.ErrCannotStart, errors.New(why))
}
