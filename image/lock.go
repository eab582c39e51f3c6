package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// A lock is on a file of the store, against this and other processes. The kernel drops it when its
// holder dies.
type lock struct{ f *os.File }

// lock modes.
const (
	shared    = syscall.LOCK_SH
	exclusive = syscall.LOCK_EX
	lockNow   = syscall.LOCK_NB
)

// lock waits for the lock called name, or until ctx ends.
func (t *tree) lock(ctx context.Context, name string, mode int) (*lock, error) {
	pause := time.Millisecond
	for {
		l, err := t.tryLock(name, mode)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
}

// tryLock takes the lock, or returns nil when another has it.
func (t *tree) tryLock(name string, mode int) (*lock, error) {
	file := filepath.Join(t.dir, "locks", name)
	for {
		f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flock(f, mode|syscall.LOCK_NB); err != nil {
			_ = f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, nil
			}
			return nil, err
		}
		held, err1 := f.Stat()
		now, err2 := os.Stat(file)
		if err1 == nil && err2 == nil && os.SameFile(held, now) {
			return &lock{f}, nil
		}
		_ = f.Close() // removed by gc before we had it
	}
}

// Alone locks a task by name, against this and other processes. It waits for the lock, and holds it
// until free is called or this process ends.
func (s *Store) Alone(ctx context.Context, what string) (free func(), err error) {
	l, err := s.tree.lock(ctx, "alone-"+short(what), exclusive)
	if err != nil {
		return nil, failed("Alone", what, compute.ErrFailed, err, "")
	}
	return l.remove, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (l *lock) unlock() {
	if l != nil {
		_ = l.f.Close()
	}
}

// remove removes the file of a lock that is held exclusively, and the lock with it.
func (l *lock) remove() {
	_ = os.Remove(l.f.Name())
	l.unlock()
}
