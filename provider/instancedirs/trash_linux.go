package instancedirs

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// halfMade is the age at which an unfinished home counts as abandoned: making one takes a moment. A
// maker that takes longer holds the lock of the directory.
const halfMade = time.Hour

// Throw moves a path to the trash in one step, and returns its path there. It returns
// fs.ErrNotExist if there is nothing at the path.
func (d *Dir[M]) Throw(path string) (string, error) {
	trash := filepath.Join(d.Place, "trash")
	for try := 0; ; try++ {
		// The modification time says since when something is in the trash.
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, nil, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) ||
			errors.Is(err, unix.ENOTDIR) {
			return "", &os.PathError{Op: "discard", Path: path, Err: fs.ErrNotExist}
		}
		to := filepath.Join(trash, filepath.Base(path)+"-"+strconv.FormatUint(rand.Uint64(), 36))
		if err := os.Mkdir(trash, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		err := os.Rename(path, to)
		// Sweep removes the trash when it is empty
		if errors.Is(err, fs.ErrNotExist) && try < 100 {
			continue
		}
		return to, err
	}
}

// Sweep deletes what has been in the trash for at least age, and what dead processes began to make.
// Younger things are left to the process that threw them away. A failure is logged, and the next
// call tries again.
func (d *Dir[M]) Sweep(ctx context.Context, age time.Duration) {
	trash := filepath.Join(d.Place, "trash")
	sweep := func(dir, prefix string, age time.Duration) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if ctx.Err() != nil || !strings.HasPrefix(e.Name(), prefix) {
				continue
			}
			info, err := e.Info()
			path := filepath.Join(dir, e.Name())
			if err != nil || time.Since(info.ModTime()) < age || prefix != "" && locked(path) {
				continue
			}
			if err := d.delete(path); err != nil {
				d.Log.Warn("the trash cannot be deleted", "source", d.Source, "path", path, "err", err)
			}
		}
	}
	sweep(trash, "", age)
	sweep(d.Place, "new-", halfMade)
	_ = os.Remove(trash) // if it is empty
}

func (d *Dir[M]) delete(path string) error {
	if d.Before != nil {
		if err := d.Before(path); err != nil {
			return err
		}
	}
	return Remove(path)
}
