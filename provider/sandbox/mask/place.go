//go:build linux

package mask

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Place returns a directory for layers that lie over root. It must be on another file system than
// root's, since overlayfs puts no directory over one that contains it, and this user must be able
// to write user.* attributes there. Place tries first (the runtime directory, for one), then for
// root /run/hostler/masks, then one in /dev/shm that is named for the user. Another user may have
// taken that name; the error says so. Place makes the directory and tests it.
func Place(root, first string) (string, error) {
	run := ""
	if os.Geteuid() == 0 {
		run = "/run"
	}
	return place(root, first, run, "/dev/shm")
}

// place is Place with the directories of the system; "": without.
func place(root, first, run, shm string) (string, error) {
	var base unix.Stat_t
	if err := lstat(root, &base); err != nil {
		return "", &os.PathError{Op: "lstat", Path: root, Err: err}
	}
	var errs []error
	for _, way := range []struct {
		dir   string
		steps []string // what is made on the way to it
		safe  bool     // whether nobody else may write to a directory above it
	}{
		{first, nil, true},
		{join(run, "hostler", "masks"), []string{join(run, "hostler")}, true},
		{join(shm, "hostler-mask-"+strconv.Itoa(os.Geteuid())), nil, false},
	} {
		if way.dir == "" {
			continue
		}
		err := elsewhere(way.dir, base.Dev) // before anything is made
		if err == nil && way.safe {
			err = safe(way.dir)
		}
		for _, dir := range append(way.steps, way.dir) {
			if err == nil {
				err = own(dir)
			}
		}
		if err == nil {
			err = elsewhere(way.dir, base.Dev)
		}
		if err == nil {
			err = try(way.dir)
		}
		if err == nil {
			return way.dir, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", way.dir, err))
	}
	return "", fmt.Errorf("no place for the layer that hides the host's secrets: %w", errors.Join(errs...))
}

// join is filepath.Join, but nothing where there is no directory.
func join(dir string, names ...string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(append([]string{dir}, names...)...)
}

// elsewhere refuses a path that is on the given file system, or would be if it was made.
func elsewhere(p string, dev uint64) error {
	var st unix.Stat_t
	for {
		err := lstat(p, &st)
		switch {
		case err == nil && uint64(st.Dev) == dev:
			return errors.New("it is on the file system that is to be hidden from")
		case err == nil:
			return nil
		case !errors.Is(err, fs.ErrNotExist) || p == filepath.Dir(p):
			return &os.PathError{Op: "lstat", Path: p, Err: err}
		}
		p = filepath.Dir(p)
	}
}

// safe refuses a path that another user than root could replace: one with the right to write to a
// directory above it.
func safe(p string) error {
	ways := []string{p}
	if real, err := filepath.EvalSymlinks(filepath.Dir(p)); err == nil {
		ways = append(ways, filepath.Join(real, filepath.Base(p)))
	}
	for _, p := range ways {
		for p != filepath.Dir(p) {
			p = filepath.Dir(p)
			var st unix.Stat_t
			if err := lstat(p, &st); errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return &os.PathError{Op: "lstat", Path: p, Err: err}
			}
			if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
				return fmt.Errorf("%s belongs to user %d", p, st.Uid)
			}
			if st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
				return fmt.Errorf("%s is for others to write to", p)
			}
		}
	}
	return nil
}

// try makes the parts of a layer, and removes them.
func try(dir string) error {
	at, err := os.MkdirTemp(dir, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(at)
	if err := unix.Setxattr(at, "user.overlay.opaque", []byte("y"), 0); err != nil {
		return fmt.Errorf("attributes of users: %w (in memory since Linux 6.6)", err)
	}
	if err := unix.Mknod(filepath.Join(at, "whiteout"), unix.S_IFCHR, 0); err != nil {
		return fmt.Errorf("whiteouts: %w (since Linux 5.8)", err)
	}
	return nil
}
