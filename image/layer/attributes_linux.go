package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const paxXattr = "SCHILY.xattr."

// fill writes size bytes of body. What is zero for a chunk becomes a hole.
func (u *unpacker) fill(ctx context.Context, fd int, body io.Reader, size int64) error {
	hole := false
	for at := int64(0); at < size; {
		b := u.buf[:min(size-at, int64(len(u.buf)))]
		if _, err := io.ReadFull(body, b); err != nil {
			return err
		}
		if err := errors.Join(u.meter.grow(len(b)), u.meter.room(u.root, len(b))); err != nil {
			return err
		}
		for len(b) > 0 {
			part := b[:min(len(b), chunk)]
			b = b[len(part):]
			if len(part) == chunk && bytes.Equal(part, zeros[:]) {
				hole = true
				at += int64(len(part))
				continue
			}
			if !hole { // what follows data is written with it
				next := len(part)
				for len(b) >= chunk && !bytes.Equal(b[:chunk], zeros[:]) {
					next, b = next+chunk, b[chunk:]
				}
				if len(b) < chunk {
					next, b = next+len(b), nil
				}
				part = part[:next]
			}
			if err := writeAt(fd, part, at, hole); err != nil {
				return err
			}
			hole = false
			at += int64(len(part))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if hole {
		return unix.Ftruncate(fd, size)
	}
	return nil
}

// chunk is the grain of holes.
const chunk = 32 << 10

var zeros [chunk]byte

// writeAt writes b where the file stands, or behind a hole.
func writeAt(fd int, b []byte, at int64, seek bool) error {
	if seek {
		if _, err := unix.Seek(fd, at, unix.SEEK_SET); err != nil {
			return err
		}
	}
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// attributes gives an open file or directory its owner, mode and extended attributes, in this
// order: a new owner takes the setuid bit and capabilities away.
func (u *unpacker) attributes(fd int, h *tar.Header) error {
	if u.owners {
		if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
			if !notMapped(err) {
				return err
			}
			u.out.Foreign++
		}
	}
	if err := unix.Fchmod(fd, uint32(h.Mode)&0o7777); err != nil {
		return err
	}
	for key, value := range h.PAXRecords {
		attr, ok := strings.CutPrefix(key, paxXattr)
		if !ok || !wantedAttr(attr, u.owners) {
			continue
		}
		if err := setxattrFd(fd, attr, []byte(value)); err != nil {
			if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("set %s: %w", attr, err)
			}
			u.out.Refused++
		}
	}
	return nil
}

// wantedAttr says which attributes an image may bring. Those of overlay itself would let it lead a
// mount astray, those of the host's security modules are not its to say.
func wantedAttr(attr string, owners bool) bool {
	if strings.HasPrefix(attr, "user.overlay.") {
		return false
	}
	return strings.HasPrefix(attr, "user.") || attr == "security.capability" || owners && strings.HasPrefix(attr, "system.posix_acl_")
}

// notMapped reports whether an owner could not be given because this process may not, or its user
// name space does not know it.
func notMapped(err error) bool { return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) }

// own gives what is not open its owner.
func (u *unpacker) own(at int, base string, h *tar.Header) error {
	if !u.owners {
		return nil
	}
	err := unix.Fchownat(at, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && notMapped(err) {
		u.out.Foreign++
		return nil
	}
	return err
}

func (u *unpacker) setTime(at int, base string, h *tar.Header) error {
	ts, err := unix.TimeToTimespec(h.ModTime)
	if err != nil || h.ModTime.IsZero() {
		return nil // before the kernel's first day
	}
	return unix.UtimesNanoAt(at, base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

func setxattrFd(fd int, name string, value []byte) error { return unix.Fsetxattr(fd, name, value, 0) }

// finish gives directories what would have been in the way, or would have changed, while they were
// filled: inner ones first.
func (u *unpacker) finish() error {
	u.forget()
	for _, name := range slices.Backward(u.order) {
		h, known := u.dirs[name]
		if !known {
			continue
		}
		delete(u.dirs, name) // a name may stand in order twice
		if err := u.finishDir(name, h); err != nil {
			return fmt.Errorf("unpack %q: %w", name, err)
		}
	}
	return nil
}

// finishDir sets the final attributes of one directory, unless a later entry replaced it.
func (u *unpacker) finishDir(name string, h *tar.Header) error {
	at, base := u.root, "."
	if name != "." {
		var err error
		at, err = u.openDir(path.Dir(name))
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(at) }()
		base = path.Base(name)
	}
	fd, err := unix.Openat(at, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := u.attributes(fd, h); err != nil {
		return err
	}
	return u.setTime(at, base, h)
}

// gone reports that something else has the name of a directory by now.
func gone(err error) bool {
	return errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOENT)
}

// RemoveTree removes a tree of ours, whatever permissions its directories have.
func RemoveTree(name string) error {
	if err := removeAt(unix.AT_FDCWD, name); err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

// removeAt removes what is called base, a tree too. Directories without permissions are in no one's
// way: they are ours.
func removeAt(at int, base string) error {
	err := unix.Unlinkat(at, base, 0)
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return err
	}
	fd, err := unix.Openat(at, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EACCES) {
		// not a link: those were removed above
		if err := unix.Fchmodat(at, base, 0o700, 0); err != nil {
			return err
		}
		fd, err = unix.Openat(at, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), base)
	defer func() { _ = dir.Close() }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err == nil && st.Mode&0o700 != 0o700 {
		_ = unix.Fchmod(fd, 0o700)
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := removeAt(fd, n); err != nil {
			return err
		}
	}
	if err := unix.Unlinkat(at, base, unix.AT_REMOVEDIR); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// Sync writes what is in memory to the disk that dir is on.
func Sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return unix.Syncfs(int(d.Fd()))
}

// BootID names the time since the machine was started.
func BootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// SetOpaque marks an open directory as one that hides what the layers below have in it.
func SetOpaque(fd int) error {
	err := setxattrFd(fd, opaqueXattr, []byte("y"))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("this file system keeps no attributes user.*, which say that a directory hides others: %w", err)
	}
	return err
}

// MakeWhiteout makes what hides a name of the layers below.
func MakeWhiteout(at int, name string) error {
	err := unix.Mknodat(at, name, unix.S_IFCHR, 0)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf(
			"a character device 0:0, which says that a name is hidden, cannot be made: Linux 5.8 lets everybody, some "+
				"file systems nobody: %w",
			err,
		)
	}
	return err
}
