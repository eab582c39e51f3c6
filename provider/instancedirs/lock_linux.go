package instancedirs

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Lock waits for the lock of an instance's home. It returns the open directory, and Close unlocks
// it. ErrNone: there is no home of ours, or it went while we waited.
func (d *Dir[M]) Lock(ctx context.Context, id compute.ID) (*os.File, M, error) {
	var none M
	if err := ctx.Err(); err != nil {
		return nil, none, err
	}
	if err := d.trusted(); err != nil {
		return nil, none, err
	}
	f, m, err := d.lock(ctx, id, nil)
	if errors.Is(err, ErrForeign) {
		err = ErrNone
	}
	return f, m, err
}

// lock is Lock, but tells ErrForeign from ErrNone. A home in place without a marker gets the marker
// fresh. If fresh is nil, such a home is removed.
func (d *Dir[M]) lock(ctx context.Context, id compute.ID, fresh *M) (*os.File, M, error) {
	var m M
	if !Plain(id) {
		return nil, m, ErrNone
	}
	home := d.Path(id)
	fd, err := unix.Open(home, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, m, ErrNone
	}
	if err != nil {
		return nil, m, &os.PathError{Op: "open", Path: home, Err: err}
	}
	f := os.NewFile(uintptr(fd), home)
	if err = Flock(ctx, f); err == nil {
		// While we waited the home may have been destroyed, or even made again. Then our lock is of
		// something else.
		var a, b unix.Stat_t
		if unix.Fstat(fd, &a) != nil || unix.Lstat(home, &b) != nil || a.Ino != b.Ino || a.Dev != b.Dev {
			err = ErrNone
		} else if m, err = d.ours(id); errors.Is(err, ErrNone) {
			m, err = d.unmarked(f, fresh)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, m, err
	}
	return f, m, nil
}

// unmarked handles a locked home without a marker. If homes are renamed when they are complete, or
// if anything is in it, the home was never ours.
func (d *Dir[M]) unmarked(home *os.File, fresh *M) (m M, err error) {
	if !d.InPlace {
		return m, ErrForeign
	}
	names, err := home.Readdirnames(2)
	if len(names) > 1 || len(names) == 1 && names[0] != "owner" {
		return m, errors.Join(ErrForeign, err)
	}
	if fresh == nil { // its maker died
		if len(names) == 1 {
			_ = unix.Unlinkat(int(home.Fd()), "owner", 0)
		}
		if os.Remove(home.Name()) != nil {
			return m, ErrForeign
		}
		return m, ErrNone
	}
	if err := d.at("mark"); err != nil {
		return m, err
	}
	b, err := json.Marshal(*fresh)
	if err != nil {
		return m, err
	}
	fd, err := unix.Openat(int(home.Fd()), "owner", unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return m, &os.PathError{Op: "open", Path: home.Name() + "/owner", Err: err}
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, b) // so few bytes are written completely or not at all
	return *fresh, err
}

// Flock takes the exclusive lock of an open file or directory. It waits until ctx ends. Closing the
// file unlocks it.
func Flock(ctx context.Context, f *os.File) error {
	for pause := 500 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// locked reports whether a process holds the lock of a directory.
func locked(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}
