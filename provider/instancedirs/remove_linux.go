package instancedirs

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Remove deletes a tree that a hostile user may have made. It may be deeper than there are
// descriptors, or longer than a path can be. Its directories may forbid their owner to change them.
// Remove follows no links. A mount in the tree is an error, and is not entered. It is no error if
// the path is gone, or goes meanwhile.
func Remove(path string) error {
	err := remove(unix.AT_FDCWD, path)
	if err != nil {
		return &os.PathError{Op: "delete", Path: path, Err: err}
	}
	return nil
}

// done reports whether an error means success, or that the thing or its directory is gone.
func done(err error) bool { return err == nil || errors.Is(err, unix.ENOENT) }

func notEmpty(err error) bool { return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) }

// remove deletes an entry of a directory, with all that is in it.
func remove(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if done(err) || !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return clean(err)
	}
	if err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); !notEmpty(err) {
		return clean(err)
	}
	top, err := open(dir, name)
	if err != nil {
		return clean(err)
	}
	defer top.Close()
	for { // entries that are moved up may come after the reader's place
		if err := empty(top); err != nil {
			return err
		}
		if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); !notEmpty(err) {
			return clean(err)
		}
		if _, err := top.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

func clean(err error) error {
	if done(err) {
		return nil
	}
	return err
}

// open opens a directory such that entries in it can be deleted.
func open(dir int, name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, name, flags, 0)
	if errors.Is(err, unix.EACCES) && allow(dir, name) == nil {
		fd, err = unix.Openat(dir, name, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	_ = unix.Fchmod(fd, 0o700) // if this is not allowed, deleting fails and says so
	return os.NewFile(uintptr(fd), name), nil
}

// allow lets the owner of a directory read and change it. A link is left alone.
func allow(dir int, name string) error {
	err := unix.Fchmodat(dir, name, 0o700, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EOPNOTSUPP) { // before Linux 6.6
		err = unix.Fchmodat(dir, name, 0o700, 0)
	}
	return err
}

// empty deletes the contents of a directory, as far as they are read. The contents of its
// directories are moved up into it, so nothing is ever deep down.
func empty(top *os.File) error {
	for {
		names, err := top.Readdirnames(1000)
		for _, name := range names {
			if err := flatten(int(top.Fd()), name); err != nil {
				return err
			}
		}
		if len(names) == 0 {
			if errors.Is(err, io.EOF) || done(err) {
				return nil
			}
			return err
		}
	}
}

// flatten deletes an entry of the top. A directory in the entry that is not empty is moved to the
// top, and is deleted from there later.
func flatten(top int, name string) error {
	err := unix.Unlinkat(top, name, 0)
	if done(err) || !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return clean(err)
	}
	if err = unix.Unlinkat(top, name, unix.AT_REMOVEDIR); !notEmpty(err) {
		return clean(err)
	}
	d, err := open(top, name)
	if err != nil {
		return clean(err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return clean(err)
	}
	for _, n := range names {
		if err := moveUp(int(d.Fd()), n, top); err != nil {
			return err
		}
	}
	return clean(unix.Unlinkat(top, name, unix.AT_REMOVEDIR))
}

// moveUp deletes an entry of a directory, or moves it to the top.
func moveUp(dir int, name string, top int) error {
	err := unix.Unlinkat(dir, name, 0)
	if done(err) || !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return clean(err)
	}
	if err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); !notEmpty(err) {
		return clean(err)
	}
	up := "up-" + strconv.FormatUint(rand.Uint64(), 36)
	err = unix.Renameat(dir, name, top, up)
	// renaming a directory writes to it
	if errors.Is(err, unix.EACCES) && allow(dir, name) == nil {
		err = unix.Renameat(dir, name, top, up)
	}
	if errors.Is(err, unix.EXDEV) { // a layer's own directory, or a volume's
		return remove(dir, name)
	}
	return clean(err)
}
