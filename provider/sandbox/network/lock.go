//go:build linux

package network

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lock waits for this process's turn, then for other processes with the same directory. The kernel
// releases a dead process's lock.
func (n *Network) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case n.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	f, err := os.OpenFile(filepath.Join(n.o.Dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		<-n.turn
		return nil, err
	}
	unlock = func() {
		_ = f.Close()
		<-n.turn
	}
	got := make(chan error, 1)
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		got <- err
	} else { // the kernel queues waiters; polling would give the lock to the luckiest
		go func() { got <- flock(f, unix.LOCK_EX) }()
	}
	select {
	case err := <-got:
		if err != nil {
			unlock()
			return nil, os.NewSyscallError("flock", err)
		}
		return unlock, nil
	case <-ctx.Done():
		go func() { // as long as another has it; a waiting flock cannot be interrupted
			<-got
			_ = f.Close()
		}()
		<-n.turn
		return nil, context.Cause(ctx)
	}
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
