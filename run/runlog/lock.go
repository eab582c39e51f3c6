package runlog

import (
	"os"

	"golang.org/x/sys/unix"
)

// takeLock locks a file for as long as this process has it open.
func takeLock(f *os.File) error {
	return flock(f, unix.LOCK_EX|unix.LOCK_NB)
}

// isLocked reports whether another process has locked the file.
func isLocked(f *os.File) bool {
	return flock(f, unix.LOCK_SH|unix.LOCK_NB) != nil
}

// flock is flock(2), and tries again after a signal.
func flock(f *os.File, how int) (err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		for {
			if err = unix.Flock(int(fd), how); err != unix.EINTR {
				return
			}
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}
