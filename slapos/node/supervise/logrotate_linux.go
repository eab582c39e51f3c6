package supervise

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// rotatingLog is a log that its own process writes.
type rotatingLog struct {
	mu   sync.Mutex
	out  *os.File
	path string
	most int64
}

// RotatingLog is a writer to a log at a path that is open for appending. When the log has more than
// most bytes it is renamed to PATH.1 and begun anew, and out, for all its users in this process, is
// the new file. Another kind of out, such as a terminal, is left as it is. If it cannot be begun
// anew it grows on. It may be used from many goroutines.
func RotatingLog(out *os.File, path string, most int64) io.Writer {
	return &rotatingLog{out: out, path: path, most: most}
}

// Write writes to the log, and first moves it aside if it is larger than most. A log that cannot
// be moved grows on.
func (t *rotatingLog) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	is, err := t.out.Stat()
	if err == nil && is.Mode().IsRegular() && is.Size() > t.most {
		// else it was moved aside already, on purpose
		if there, err := os.Lstat(t.path); err == nil && os.SameFile(is, there) {
			_ = t.rotate()
		}
	}
	return t.out.Write(text)
}

// rotate moves the log to ".1" and puts a new file under the same descriptor.
func (t *rotatingLog) rotate() error {
	if err := os.Rename(t.path, t.path+".1"); err != nil {
		return err
	}
	next, err := os.OpenFile(t.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer next.Close()
	raw, err := t.out.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { // as a whole: a crash of ours is written there too
		flags, _ := unix.FcntlInt(fd, unix.F_GETFD, 0)
		err = unix.Dup3(int(next.Fd()), int(fd), (flags&unix.FD_CLOEXEC)*unix.O_CLOEXEC)
	}); e != nil {
		return e
	}
	return err
}
