package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// How long a command may take to die, before its connection is asked whether it still answers, and how long that may take.
const (
	dyingTime  = 3 * time.Second
	answerTime = 2 * time.Second
	killAgain  = 200 * time.Millisecond
)

// Run runs a command in a session of a kept connection. See compute.Conn.
//
// The words arrive as they are: a script that quotes each is fed to sh. Env goes over standard input ahead of the command's own, never in an
// argument. User needs sudo that asks for no password, or su where we are root. A signal that ended the command and that the ssh protocol has
// no name for is told as KILL. A lost connection is noticed after some 20 s of silence (see SSHOptions.KeepAlive) and is ErrLost; what ran
// there is ended by the far side as soon as that notices too, unless it has no place for one session more.
func (s *SSH) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
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
	r := &sshRun{SSH: s, cmd: cmd, sess: sess, script: script, started: make(chan struct{}), unread: make(chan struct{})}
	r.group.user, r.group.tty = cmd.User, cmd.TTY != nil
	return r.run(ctx)
}

// sshRun is one command on its way.
type sshRun struct {
	*SSH
	cmd    *compute.Command
	sess   *sshSession
	script *sshScript
	stderr tail // the last words, for an error when the command never started

	group   sshGroup      // valid once started is closed
	started chan struct{} // closed when the script has told its group
	failed  atomic.Int32  // the script's own status when it could not start the command

	out, err sshOutput
	broken   sync.Once
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
	stdout, stderr := r.writer(r.cmd.Stdout), r.writer(r.cmd.Stderr)
	if same(r.cmd.Stdout, r.cmd.Stderr) {
		one := &oneAtATime{w: stdout}
		stdout, stderr = one, one
	}
	r.out.start(r.sess, &preamble{r: r, w: stdout})
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
	r.out.shut()
	r.err.shut()
	<-events
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
		r.late(ctx)
		return nil
	case <-r.sess.closed:
		r.out.wait(time.Second)
		r.err.wait(time.Second)
		return nil
	case <-r.sess.link.gone:
		return r.lost(nil)
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

func (r *sshRun) lost(cause error) error {
	if r.isClosed() {
		cause = errors.New("the connection is closed")
	}
	if cause == nil {
		cause = errLinkLost
	}
	return r.fail("ssh.Run", compute.ErrLost, cause)
}

// kill ends the command's group and waits for the end of its session; if that does not come it makes sure that the host still answers.
func (r *sshRun) kill(control *sshControl) {
	end, cancel := context.WithTimeout(context.Background(), dyingTime)
	defer cancel()
	r.soon(control)
	for end.Err() == nil {
		r.killOnce(control, end.Done())
		select {
		case <-r.sess.closed:
			return
		case <-r.sess.exited:
			// Others of the group may hold the output; they were told as well.
			r.out.wait(lateOutput)
			r.err.wait(lateOutput)
			return
		case <-time.After(killAgain):
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if r.sess.link.ping(ctx) != nil {
		r.sess.link.conn.Close()
		<-r.sess.link.gone
	}
}

// soon waits a moment for a command that has only just been asked for, so that there is a group to kill and somebody to do it.
func (r *sshRun) soon(control *sshControl) {
	moment := time.After(lateOutput)
	for _, c := range []<-chan struct{}{r.started, control.ready} {
		select {
		case <-c:
		case <-r.sess.closed:
		case <-moment:
			return
		}
	}
}

// killOnce uses the control, which says when it is done, else the protocol's request, which may reach the leader alone.
func (r *sshRun) killOnce(control *sshControl, end <-chan struct{}) {
	if isClosed(r.started) && isClosed(control.ready) {
		if done := control.signal(&r.group, "KILL", true); done != nil {
			select {
			case <-done:
				return
			case <-r.sess.link.gone:
				return
			case <-end:
			}
		}
	}
	r.sess.tell("signal", struct{ Name string }{"KILL"})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// late waits for output that is still on its way. Processes that the command left behind may hold it open for ever: when nothing has come for a
// moment, and then not before an answer to a question, there was nothing more.
func (r *sshRun) late(ctx context.Context) {
	tick := time.NewTicker(lateOutput / 4)
	defer tick.Stop()
	for {
		select {
		case <-r.out.done:
			select {
			case <-r.err.done:
				return
			case <-r.sess.link.gone:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		case <-r.sess.link.gone:
			return
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
				control.guard(&r.group)
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

// signal goes to the group by the control, which reaches any group of ours, else by the protocol's request.
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
	why := r.stderr.lastLine()
	if why == "" {
		why = fmt.Sprintf("the log-in shell ended with %d before the command began", r.sess.exit.Status())
	}
	return compute.Exit{}, r.fail("ssh.Run", compute.ErrCannotStart, errors.New(why))
}

// writer makes the first error of the caller's writer the end of the command, as a closed pipe would be.
func (r *sshRun) writer(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return sshWriter(func(b []byte) (int, error) {
		if _, err := w.Write(b); err != nil {
			r.broken.Do(func() { close(r.unread) })
		}
		return len(b), nil
	})
}

type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}

// sshOutput copies one stream of the far side.
type sshOutput struct {
	done    chan struct{}
	reads   atomic.Int64
	since   atomic.Int64  // when the read that goes on was begun, Unix nanoseconds; 0: none goes on
	writing chan struct{} // holds a token while the caller's writer is at work
	over    chan struct{} // closed when Run is about to return
}

func (o *sshOutput) start(r io.Reader, w io.Writer) {
	o.done, o.writing, o.over = make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(o.done)
		buf := make([]byte, 32<<10)
		for {
			o.since.Store(time.Now().UnixNano())
			n, err := r.Read(buf)
			o.since.Store(0)
			o.reads.Add(1)
			if n > 0 {
				o.pass(w, buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
}

func (o *sshOutput) pass(w io.Writer, b []byte) {
	select {
	case o.writing <- struct{}{}:
		select {
		case <-o.over:
		default:
			_, _ = w.Write(b)
		}
		<-o.writing
	case <-o.over:
	}
}

// shut makes sure that the caller's writer is not called any more. A call that does not return is left alone.
func (o *sshOutput) shut() {
	close(o.over)
	select {
	case o.writing <- struct{}{}:
		<-o.writing
	case <-time.After(answerTime):
	}
}

// idle is how long nothing has come; a stream that has ended is idle for ever.
func (o *sshOutput) idle() time.Duration {
	select {
	case <-o.done:
		return time.Hour
	default:
	}
	if at := o.since.Load(); at != 0 {
		return time.Since(time.Unix(0, at))
	}
	return 0
}

func (o *sshOutput) wait(d time.Duration) {
	select {
	case <-o.done:
	case <-time.After(d):
	}
}

// preamble takes the script's own lines off the beginning of the output, and what a log-in shell's start-up files may have written before.
type preamble struct {
	r     *sshRun
	w     io.Writer
	held  []byte
	state int // 0: before the first line; 1: right behind it, where the second may be; 2: the command's output
}

func (p *preamble) Write(b []byte) (int, error) {
	if p.state == 2 {
		return p.w.Write(b)
	}
	p.held = append(p.held, b...)
	mark := []byte(sshMark + p.r.script.nonce + " ")
	for p.state < 2 {
		at := bytes.Index(p.held, mark)
		if p.state == 1 && at != 0 {
			if len(p.held) < len(mark) && bytes.HasPrefix(mark, p.held) {
				return len(b), nil // may become one
			}
			p.state = 2
			break
		}
		if at < 0 {
			if keep := len(mark); len(p.held) > keep {
				p.held = append([]byte(nil), p.held[len(p.held)-keep:]...)
			}
			return len(b), nil
		}
		end := bytes.IndexByte(p.held[at:], '\n')
		if end < 0 {
			p.held = p.held[at:]
			return len(b), nil
		}
		words := strings.Fields(string(p.held[at+len(mark) : at+end]))
		p.held = p.held[at+end+1:]
		p.line(words)
	}
	if len(p.held) > 0 {
		_, err := p.w.Write(p.held)
		p.held = nil
		return len(b), err
	}
	return len(b), nil
}

func (p *preamble) line(words []string) {
	p.state++
	if len(words) == 3 && words[0] == "S" && p.state == 1 {
		p.r.group.pid, _ = strconv.Atoi(words[2])
		p.r.failed.Store(0)
		close(p.r.started)
	}
	if len(words) == 2 && words[0] == "X" {
		n, _ := strconv.Atoi(words[1])
		p.r.failed.Store(int32(n))
		p.state = 2
	}
}

// feed sends the script's line and then the caller's standard input. The function that it returns ends that.
func (r *sshRun) feed() (stop func()) {
	f, isFile := r.cmd.Stdin.(*os.File)
	if r.cmd.Stdin == nil || !isFile || f == nil {
		go r.feedAll(func() error {
			if r.cmd.Stdin == nil {
				return nil
			}
			_, err := io.Copy(struct{ io.Writer }{r.sess}, r.cmd.Stdin)
			return err
		})
		return func() {}
	}
	wakeR, wakeW, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	go func() {
		defer wakeR.Close()
		r.feedAll(func() error {
			buf := make([]byte, 32<<10)
			for {
				n, ok := readReady(f, wakeR, buf)
				if !ok {
					return io.ErrClosedPipe
				}
				if n <= 0 {
					return nil
				}
				if _, err := r.sess.Write(buf[:n]); err != nil {
					return err
				}
			}
		})
	}()
	return func() { wakeW.Close() }
}

func (r *sshRun) feedAll(caller func() error) {
	if _, err := io.WriteString(r.sess, r.script.input); err != nil {
		return
	}
	if r.cmd.TTY != nil { // what is typed must not come before the terminal is as the script leaves it
		select {
		case <-r.started:
		case <-r.sess.closed:
			return
		}
	}
	if err := caller(); err != nil {
		return
	}
	if r.cmd.TTY != nil {
		_, _ = io.WriteString(r.sess, endOfFile)
		return
	}
	_ = r.sess.CloseWrite()
}

type sshWriter func([]byte) (int, error)

func (f sshWriter) Write(b []byte) (int, error) { return f(b) }
