package scan

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// cursor opens paths beneath a root, part by part, and follows no link. It keeps the directories of
// the last path open, since the next path is mostly near. Only one goroutine may use it.
type cursor struct {
	root  int
	parts []string
	fds   []int // one for each part
}

// openRoot opens the root of cursors.
func openRoot(dir string) (*os.File, error) { return os.Open(dir) }

// dir returns the open directory of a path relative to the root; "" is the root.
func (c *cursor) dir(path string) (int, error) {
	same := 0
	for path != "" {
		part, rest, _ := strings.Cut(path, "/")
		if same < len(c.parts) && c.parts[same] == part {
			same++
			path = rest
			continue
		}
		break
	}
	c.back(same)
	for path != "" {
		part, rest, _ := strings.Cut(path, "/")
		fd, err := openAt(c.last(), part, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return -1, err
		}
		c.parts, c.fds = append(c.parts, part), append(c.fds, fd)
		path = rest
	}
	return c.last(), nil
}

func (c *cursor) last() int {
	if n := len(c.fds); n > 0 {
		return c.fds[n-1]
	}
	return c.root
}

// back closes all but the first keep directories.
func (c *cursor) back(keep int) {
	for _, fd := range c.fds[keep:] {
		unix.Close(fd)
	}
	c.parts, c.fds = c.parts[:keep], c.fds[:keep]
}

func (c *cursor) close() { c.back(0) }

// lstat reads the attributes of a path.
func (c *cursor) lstat(path string, st *unix.Stat_t) error {
	parent, name, _ := cutLast(path)
	fd, err := c.dir(parent)
	if err != nil {
		return err
	}
	return again(func() error { return unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

// readlink reads the target of the link at a path.
func (c *cursor) readlink(path string) (string, error) {
	parent, name, _ := cutLast(path)
	fd, err := c.dir(parent)
	if err != nil {
		return "", err
	}
	buf := make([]byte, MaxPath+1)
	n := 0
	err = again(func() (err error) { n, err = unix.Readlinkat(fd, name, buf); return err })
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// open opens the file at a path for reading. It refuses links, and does not wait for the other end
// of a fifo.
func (c *cursor) open(path string) (fd int, err error) {
	parent, name, _ := cutLast(path)
	dir, err := c.dir(parent)
	if err != nil {
		return -1, err
	}
	return openAt(dir, name, unix.O_RDONLY|unix.O_NONBLOCK)
}

// list returns the names in a directory.
func (c *cursor) list(path string) ([]os.DirEntry, error) {
	fd, err := c.dir(path)
	if err != nil {
		return nil, err
	}
	if fd, err = openAt(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	return f.ReadDir(-1)
}

func openAt(dir int, name string, flags int) (fd int, err error) {
	err = again(func() (err error) {
		fd, err = unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// again repeats a call that a signal has interrupted.
func again(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// gone reports whether an error means that nothing is at a path: a part is missing, or is a link or
// a file.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// openFile opens a file of a tree for reading. The path must pass CheckPath. It follows no link,
// and anything but a regular file is an error. The contents may have changed since the scan, so
// senders compare them with the Entry.
func openFile(root, path string) (*os.File, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	dir, err := openRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	c := cursor{root: int(dir.Fd())}
	defer c.close()
	fd, err := c.open(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file any more")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
