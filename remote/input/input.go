// Package input reads what a caller's files give a command, and no more of it than the command is
// there for.
package input

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Read waits until f, a terminal or a pipe, has something to read or wake has ended, and reads f.
// It reports false when wake has ended, or nothing can be said. A plain read that is under way when
// a command ends would swallow what is typed for the next reader; Read takes nothing then. n is 0
// at f's end.
func Read(f, wake *os.File, buf []byte) (n int, ok bool) {
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
