package homes

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Remove deletes a tree that may be anybody's idea of one: deeper than there are descriptors, or
// names of a length, and with directories whose modes forbid it to their owner. No link in it leads
// anywhere, and what is mounted in it is not looked into: that is an error. What is not there, or
// is deleted by another meanwhile, is deleted.
func Remove(path string) error {
	err := remove(unix.AT_FDCWD, path)
	if err != nil {
		return &os.PathError{Op: "delete", Path: path, Err: err}
	}
	return nil
}

// done is of what is gone, or cannot be reached any more as what it was in is gone.
func done(err error) bool { return err == nil || errors.Is(err, unix.ENOENT) }

func notEmpty(err error) bool { return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) }

// remove deletes an entry of a directory.
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
	for { // what is moved up comes into a top that was read already
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

// open opens a directory in which entries can be deleted from then on.
func open(dir int, name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, name, flags, 0)
	if errors.Is(err, unix.EACCES) && allow(dir, name) == nil {
		fd, err = unix.Openat(dir, name, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	_ = unix.Fchmod(fd, 0o700) // if it is not allowed, deleting says so
	return os.NewFile(uintptr(fd), name), nil
}

// allow lets the owner of a directory, which is no link, read and change it.
func allow(dir int, name string) error {
	err := unix.Fchmodat(dir, name, 0o700, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EOPNOTSUPP) { // before Linux 6.6
		err = unix.Fchmodat(dir, name, 0o700, 0)
	}
	return err
}

// empty deletes what is in a directory, as far as it is read. What is in the directories in it is
// moved up into it, so that nothing is ever far down.
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

// flatten deletes an entry of the top. The directories in it that are not empty are moved to the
// top, and wait there for their turn.
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
	// to rename a directory is to write to it
	if errors.Is(err, unix.EACCES) && allow(dir, name) == nil {
		err = unix.Renameat(dir, name, top, up)
	}
	if errors.Is(err, unix.EXDEV) { // a layer's own directory, or a volume's
		return remove(dir, name)
	}
	return clean(err)
}
