package process

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/creack/pty"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/input"
)

// runTerminal runs a command in a new terminal, as the leader of a new session. All its output goes
// to cmd.Stdout.
func (e *Conn) runTerminal(ctx context.Context, cmd *compute.Command, p *program) (compute.Exit, error) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		return compute.Exit{}, cannotStart(p, err)
	}
	defer func() { _ = ptmx.Close() }()
	err = pty.Setsize(ptmx, winsize(*cmd.TTY))
	if cred := p.attr.Credential; err == nil && cred != nil {
		err = os.Chown(tty.Name(), int(cred.Uid), -1)
	}
	restore := func() {}
	if err == nil && p.prefixed != nil {
		restore, err = quiet(ptmx)
	}
	c := p.command()
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr.Setsid, c.SysProcAttr.Setctty = true, true
	var k *descendants
	if err == nil {
		k, err = e.launch(c, cmd, p)
	}
	_ = tty.Close()
	if err != nil {
		return compute.Exit{}, cannotStart(p, err)
	}
	j := &job{pid: c.Process.Pid, descendants: k, mark: p.mark, session: true, ptmx: ptmx, prefixed: p.prefixed, reaped: p.reaped}
	var line string
	var ready chan struct{}
	w := orDiscard(cmd.Stdout)
	if b := p.prefixed; b != nil {
		line, ready = b.line, b.started
		w = b.stdout(w, restore)
	}
	out := make(chan struct{})
	go func() {
		defer close(out)
		drain(ptmx, w)
	}()
	stop := typeInto(ptmx, line, ready, cmd.Stdin)
	return e.await(ctx, cmd, c, j, func() {
		stop()
		_ = ptmx.SetReadDeadline(time.Now().Add(lateOutput))
		<-out
	})
}

// endOfFile is the character that ends the input of a terminal in its usual mode.
const endOfFile = "\x04"

// typeInto types a line, if there is one, and waits until ready is closed. Then it copies the
// caller's input into the terminal, and the end-of-file character after it. stop ends that; a
// reader that is no file ends by itself.
func typeInto(ptmx *os.File, line string, ready <-chan struct{}, r io.Reader) (stop func()) {
	quit := make(chan struct{})
	begin := func() bool {
		if line == "" {
			return true
		}
		if _, err := io.WriteString(ptmx, line); err != nil {
			return false
		}
		select {
		case <-ready:
			return true
		case <-quit:
			return false
		}
	}
	f, isFile := r.(*os.File)
	if !isFile {
		typing := func() {
			if !begin() {
				return
			}
			if r != nil {
				if _, err := io.Copy(ptmx, r); err != nil {
					return
				}
			}
			_, _ = io.WriteString(ptmx, endOfFile)
		}
		if r == nil && line == "" {
			typing()
		} else {
			go typing()
		}
		return func() { close(quit) }
	}
	wakeR, wakeW, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if begin() {
			typeFile(ptmx, f, wakeR)
		}
		_ = wakeR.Close()
	}()
	return func() {
		close(quit)
		_ = wakeW.Close()
		_ = ptmx.SetWriteDeadline(time.Now())
		<-done
	}
}

// typeFile reads f only when there is something to read. So what is typed after the command's end
// is left to the next reader.
func typeFile(ptmx, f, wake *os.File) {
	buf := make([]byte, 4096)
	for {
		n, ok := input.Read(f, wake, buf)
		if !ok {
			return
		}
		if n <= 0 {
			_, _ = io.WriteString(ptmx, endOfFile)
			return
		}
		if _, err := ptmx.Write(buf[:n]); err != nil {
			return
		}
	}
}
