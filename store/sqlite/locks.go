package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Byte 0 of the file is the gate of migrations. Workers lock one byte each from 1 to slots-1, slots
// the bytes above.
const slots int64 = 1 << 52

// locks is a file whose bytes stand for workers and slots.
type locks struct {
	f      *os.File
	worker int64

	mu sync.Mutex
	// slots that this handle holds: the kernel does not keep a handle out of its own
	held map[int64]bool
}

// openLocks opens the file of locks and takes a free random slot as the worker's number.
func openLocks(path string) (*locks, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &locks{f: f, held: map[int64]bool{}}
	for range 100 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		n := int64(binary.LittleEndian.Uint64(b[:])>>12)%(slots-1) + 1
		ok, err := l.try(n)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if ok {
			l.worker = n
			return l, nil
		}
	}
	return nil, errors.Join(errTaken, f.Close())
}

// lockFile waits for the lock of a file. Closing the file is what unlocks it.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// The holder migrates an embedded schema, which takes milliseconds; so this wait is not worth a
	// way to end it early.
	if err := errors.Join(ctx.Err(), fcntl(f, waitLock, unix.F_WRLCK, 0, new(unix.Flock_t))); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// fcntl is fcntl(2) on a lock, and tries again after a signal. A length of zero in lk becomes
// one byte.
func fcntl(f *os.File, cmd int, typ int16, at int64, lk *unix.Flock_t) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	l := lk.Len
	// Not by Fd: another goroutine may be closing the file.
	var e error
	err = c.Control(func(fd uintptr) {
		for {
			*lk = unix.Flock_t{Type: typ, Whence: 0, Start: at, Len: max(l, 1)}
			if e = unix.FcntlFlock(fd, cmd, lk); !errors.Is(e, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, e)
}

func (l *locks) try(at int64) (bool, error) {
	err := fcntl(l.f, setLock, unix.F_WRLCK, at, new(unix.Flock_t))
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

func (l *locks) close() error {
	if err := l.f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Worker is this handle's number: no other that lives has it.
func (s *Store) Worker() int64 { return s.locks.worker }

// Alive tells whether the worker with this number lives. If the kernel cannot say, it does.
func (s *Store) Alive(worker int64) bool {
	if worker == s.locks.worker {
		return true
	}
	if worker <= 0 || worker >= slots {
		return false
	}
	var lk unix.Flock_t
	err := fcntl(s.locks.f, getLock, unix.F_WRLCK, worker, &lk)
	return err != nil || lk.Type != unix.F_UNLCK
}

// Slot takes one of n places of a row of instances, until free is called or this process ends. ok
// is false when all are taken.
func (s *Store) Slot(row int64, n int) (free func(), ok bool, err error) {
	l := s.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, 1024)
	for i := range n {
		at := slots + row*1024 + int64(i)
		if l.held[at] {
			continue
		}
		ok, err := l.try(at)
		if err != nil {
			return nil, false, &compute.Error{Op: "state", Kind: compute.ErrFailed, Err: fmt.Errorf("lock a place: %w", err)}
		}
		if ok {
			l.held[at] = true
			return sync.OnceFunc(func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				delete(l.held, at)
				_ = fcntl(l.f, setLock, unix.F_UNLCK, at, new(unix.Flock_t))
			}), true, nil
		}
	}
	return nil, false, nil
}

// SQLite's own lock of the processes that have a file open: so many bytes from there on.
const sharedFirst, sharedSize = 0x40000000 + 2, 510

// accompany holds SQLite's lock of a process that has the file open, as another process would. It
// lasts until the returned file is closed.
func (s *Store) accompany() (*os.File, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	// If it cannot be had, another process is alone with the file at this moment, and so SQLite
	// will not be.
	if err := fcntl(f, setLock, unix.F_RDLCK, sharedFirst, &unix.Flock_t{Len: sharedSize}); err != nil &&
		!errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
