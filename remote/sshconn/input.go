package sshconn

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// endOfFile is the character that a terminal in its usual mode takes for the end of the input.
const endOfFile = "\x04"

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

// readReady waits for f or wake and reads f. It reports false when wake has ended, or nothing can be said.
func readReady(f, wake *os.File, buf []byte) (n int, ok bool) {
	rawF, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	rawWake, err := wake.SyscallConn()
	if err != nil {
		return 0, false
	}
	_ = rawF.Control(func(fd uintptr) {
		_ = rawWake.Control(func(wakeFD uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wakeFD), Events: unix.POLLIN}}
			for {
				fds[0].Revents, fds[1].Revents = 0, 0
				if _, err := unix.Poll(fds, -1); err == unix.EINTR {
					continue
				} else if err != nil || fds[1].Revents != 0 {
					return
				}
				n, err = syscall.Read(int(fd), buf)
				if err == syscall.EINTR || err == syscall.EAGAIN {
					continue
				}
				ok = true
				return
			}
		})
	})
	return n, ok
}
