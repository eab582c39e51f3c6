package chroot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// copier copies a tree with everything that a root file system has: owners, modes, times, hard
// links, devices, extended attributes, holes. Where the file system can, a file shares its blocks
// with the base's until it is written.
type copier struct {
	ctx     context.Context
	seen    map[inode]string // the first copy of a file that has several names
	noClone bool             // the file system cannot clone blocks
	// the tree is an image's layers: a device 0:0 removes a name
	layers bool
}

type inode struct{ dev, ino uint64 }

// copyTree copies what a stack of directories shows to the path to, which must not exist. Nobody
// may change the directories meanwhile.
func copyTree(ctx context.Context, from lowerDirs, to string) error {
	c := &copier{ctx: ctx, seen: map[inode]string{}, layers: from.layers}
	return c.dir(from.dirs, to)
}

// dir copies a directory: one, or several that lie upon each other, top first.
func (c *copier) dir(from []string, to string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(from[0], &st); err != nil {
		return &fs.PathError{Op: "stat", Path: from[0], Err: err}
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	shown := map[string]bool{}
	for i, dir := range from {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			if shown[name] {
				continue
			}
			shown[name] = len(from) > 1
			a, b := filepath.Join(dir, name), filepath.Join(to, name)
			if e.IsDir() {
				err = c.dir(append([]string{a}, c.under(a, name, from[i+1:])...), b)
			} else {
				err = c.file(a, b)
			}
			if err != nil {
				return err
			}
		}
	}
	return finish(from[0], to, st)
}

// under returns the directories of a name below dir that show through it.
func (c *copier) under(dir, name string, lower []string) (out []string) {
	for _, l := range lower {
		if c.opaque(dir) {
			break
		}
		var st unix.Stat_t
		dir = filepath.Join(l, name)
		if err := unix.Lstat(dir, &st); err != nil {
			continue
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			break
		}
		out = append(out, dir)
	}
	return out
}

// opaque reports whether a layer's directory hides what is below it.
func (c *copier) opaque(dir string) bool {
	var v [1]byte
	n, err := unix.Lgetxattr(dir, "user.overlay.opaque", v[:])
	return c.layers && err == nil && n == 1 && v[0] == 'y'
}

// file copies anything but a directory.
func (c *copier) file(from, to string) error {
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: from, Err: err}
	}
	if c.layers && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
		return nil
	}
	key := inode{uint64(st.Dev), st.Ino}
	if st.Nlink > 1 {
		if first, ok := c.seen[key]; ok {
			return os.Link(first, to)
		}
		c.seen[key] = to
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if err := c.content(from, to, st.Size); err != nil {
			return err
		}
	case unix.S_IFLNK:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		if err := os.Symlink(target, to); err != nil {
			return err
		}
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO:
		if err := unix.Mknod(to, st.Mode, int(st.Rdev)); err != nil {
			if errors.Is(err, unix.EPERM) {
				return nil // no devices can be made here; the instance's /dev is ours anyway
			}
			return &fs.PathError{Op: "mknod", Path: to, Err: err}
		}
	default:
		return nil // a socket is of no use in a copy
	}
	return finish(from, to, st)
}

// content copies a regular file of size bytes. The copy has mode 0600 until finish gives it the
// original's attributes.
func (c *copier) content(from, to string, size int64) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = c.fill(in, out, size)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// fill clones the blocks, or else copies all but the holes.
func (c *copier) fill(in, out *os.File, size int64) error {
	if !c.noClone {
		if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
			return nil
		}
		c.noClone = true // across file systems, or one that cannot: it will not change
	}
	if err := out.Truncate(size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		data, err := in.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) {
			return nil // a hole to the end
		}
		if err != nil {
			data = at // this file system reports no holes
		}
		hole, err := in.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			hole = size
		}
		if _, err := in.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := out.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, hole-data); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		at = hole
	}
	return nil
}

// finish sets owner, attributes, mode and times, in this order: a new owner takes the setuid bit
// and capabilities away.
func finish(from, to string, st unix.Stat_t) error {
	if err := os.Lchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := attributes(from, to); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
			return &fs.PathError{Op: "chmod", Path: to, Err: err}
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

// attributes copies extended attributes, where both file systems have them.
func attributes(from, to string) error {
	n, err := unix.Llistxattr(from, nil)
	if err != nil || n == 0 {
		return nil
	}
	names := make([]byte, n)
	if n, err = unix.Llistxattr(from, names); err != nil {
		return nil
	}
	for _, name := range splitNames(names[:n]) {
		// the overlay's own
		if strings.HasPrefix(name, "user.overlay.") || strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		size, err := unix.Lgetxattr(from, name, nil)
		if err != nil {
			continue
		}
		value := make([]byte, size)
		if size, err = unix.Lgetxattr(from, name, value); err != nil {
			continue
		}
		err = unix.Lsetxattr(to, name, value[:size], 0)
		if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("attribute %s of %s: %w", name, to, err)
		}
	}
	return nil
}

// splitNames splits a list of extended attributes' names, each of which ends with a zero byte.
func splitNames(b []byte) (out []string) {
	start := 0
	for i, c := range b {
		if c == 0 {
			out = append(out, string(b[start:i]))
			start = i + 1
		}
	}
	return out
}
