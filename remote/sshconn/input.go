package sshconn

import (
	"io"
	"os"

	"github.com/hostler-project/hostler/remote/input"
)

// endOfFile is the character that a terminal in its usual mode takes for the end of the input.
const endOfFile = "\x04"

// feed sends the script's line and then the caller's standard input. The function that it returns
// ends that.
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
				n, ok := input.Read(f, wakeR, buf)
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

// feedAll sends the script and then the caller's input. At a terminal the end is the end-of-file
// character, as the channel stays open.
func (r *sshRun) feedAll(caller func() error) {
	if _, err := io.WriteString(r.sess, r.script.input); err != nil {
		return
	}
	// what is typed must not come before the terminal is as the script leaves it
	if r.cmd.TTY != nil {
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
