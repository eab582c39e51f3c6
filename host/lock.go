package host

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// OnlyOne takes a lock that one controller at a time has, until Close or the end of the process.
// ok: this one has it.
func (h *Host) OnlyOne(path string) (ok bool, err error) {
	lock, err := LockAlone(path)
	if lock == nil {
		return false, err
	}
	h.OnClose(func() { _ = lock.Close() })
	return true, nil
}

// LockAlone takes a lock that one process at a time has, until the file is closed or the process
// ends. nil without an error: another process has it.
func LockAlone(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for range 20 { // a child of a killed process may still have it for a moment
		if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) &&
			!errors.Is(err, syscall.EINTR) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return nil, err
	}
	return lock, nil
}
