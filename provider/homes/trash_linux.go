package homes

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

// halfMade is how old what is being made has to be for nobody to be at it any more: making takes a
// moment. Where it may take longer, whoever is at it holds the lock of the directory.
const halfMade = time.Hour

// Throw moves a path to the trash, and says where it is there: at once it is gone from where it
// was. What is not there is an fs.ErrNotExist.
func (d *Dir[M]) Throw(path string) (string, error) {
	trash := filepath.Join(d.Place, "trash")
	for try := 0; ; try++ {
		// How old something in the trash is, is told by its time: it begins to be old now.
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, nil, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) ||
			errors.Is(err, unix.ENOTDIR) {
			return "", &os.PathError{Op: "discard", Path: path, Err: fs.ErrNotExist}
		}
		to := filepath.Join(trash, filepath.Base(path)+"-"+strconv.FormatUint(rand.Uint64(), 36))
		if err := os.Mkdir(trash, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		err := os.Rename(path, to)
		// whoever sweeps takes the trash away when it is empty
		if errors.Is(err, fs.ErrNotExist) && try < 100 {
			continue
		}
		return to, err
	}
}

// Sweep deletes what has lain in the trash for so long, and what a process that died in the middle
// had begun to make. What is younger is left to whoever threw it away. It is no error when
// something resists: it is tried again at the next call.
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
