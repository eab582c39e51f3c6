package keeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

// maxPath is the longest path of a unix socket on all known systems, in bytes.
const maxPath = 103

// checkDir checks that nobody else can put files into the socket's directory. create: make it if it
// is missing.
func checkDir(socket string, create bool) error {
	dir := filepath.Dir(socket)
	if !filepath.IsAbs(socket) {
		return invalid(fmt.Errorf("%s is not an absolute path", socket), "")
	}
	if len(socket) > maxPath {
		return invalid(fmt.Errorf("%s is too long for a socket's name: %d bytes, %d is the most", socket, len(socket), maxPath),
			"set XDG_RUNTIME_DIR to a shorter directory")
	}
	info, err := os.Lstat(dir)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return invalid(err, "")
		}
		info, err = os.Lstat(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return none(err)
	}
	if err != nil {
		return invalid(err, "")
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	hint := "make it a directory of your own with mode 0700"
	switch {
	case !info.IsDir():
		return denied(fmt.Errorf("%s is no directory", dir), hint)
	case ok && int(stat.Uid) != os.Geteuid():
		return denied(fmt.Errorf("%s belongs to user %d, not to you", dir, stat.Uid), hint)
	case info.Mode().Perm()&0o077 != 0:
		return denied(fmt.Errorf("%s is open to others, its mode is %04o", dir, info.Mode().Perm()), hint)
	}
	return nil
}

func invalid(err error, hint string) error {
	return &compute.Error{Op: "keeper", Kind: compute.ErrInvalid, Err: err, Hint: hint}
}

func denied(err error, hint string) error {
	return &compute.Error{Op: "keeper", Kind: compute.ErrDenied, Err: err, Hint: hint}
}

// lock takes the lock beside the socket without waiting; nil and no error: another process has it.
// The file stays after unlocking, as removing it would let two processes have the lock.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// flock locks or unlocks a file, and tries again after a signal.
func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return err
		}
	}
}

// waitLock takes a lock, waiting for it until ctx ends.
func waitLock(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		return f, nil
	}
	got := make(chan error, 1)
	go func() { got <- flock(f, syscall.LOCK_EX) }()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	case <-ctx.Done():
		// flock cannot be interrupted; the wait is short, as holders of the lock work for a bounded
		// time
		go func() {
			<-got
			f.Close()
		}()
		return nil, ctx.Err()
	}
}

// listen opens the socket; nil and no error: another keeper has it. The returned lock must stay
// open as long as the socket.
func listen(socket string) (*net.UnixListener, *os.File, error) {
	if err := checkDir(socket, true); err != nil {
		return nil, nil, err
	}
	held, err := lock(socket + ".lock")
	if err != nil || held == nil {
		return nil, nil, err
	}
	// An existing socket is a dead keeper's: a living one has the lock.
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		held.Close()
		return nil, nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		held.Close()
		return nil, nil, err
	}
	l.SetUnlinkOnClose(false) // done by hand, while the lock is held
	if err := os.Chmod(socket, 0o600); err != nil {
		l.Close()
		held.Close()
		return nil, nil, err
	}
	return l, held, nil
}

// trusted returns an error unless the other end is this user or root.
func trusted(c *net.UnixConn) error {
	uid, err := Peer(c)
	if err != nil {
		return denied(fmt.Errorf("ask who is at the other end: %w", err), "")
	}
	if uid != 0 && uid != os.Geteuid() {
		return denied(fmt.Errorf("user %d is at the other end", uid), "")
	}
	return nil
}
