package chroot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is a mount that this process sees.
type mount struct {
	id, parent int
	at         string // its mount point
	shared     bool   // mounts and unmounts on it show at its other places
}

// mountsBelow returns the mounts at and below path, in the kernel's order: mostly that in which
// they were mounted.
func mountsBelow(path string) ([]mount, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []mount
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) < 7 {
			continue
		}
		at := unescape(fields[4])
		if at != path && !strings.HasPrefix(at, path+"/") {
			continue
		}
		m := mount{at: at}
		m.id, _ = strconv.Atoi(fields[0])
		m.parent, _ = strconv.Atoi(fields[1])
		for _, f := range fields[6:] { // tags, up to a single dash
			if f == "-" {
				break
			}
			m.shared = m.shared || strings.HasPrefix(f, "shared:")
		}
		out = append(out, m)
	}
	return out, nil
}

// unescape decodes the kernel's escapes of blanks and the like: \040.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unmountAll unmounts everything at and below path, with mounts made from inside, innermost first.
// It checks that nothing is left. A tree of this machine that is mounted in there may share its
// mounts with its origin, and an unmount would take effect there too. So the mount below is made
// private first. A mount in use is detached, and goes when its user does. Before that busy is
// called, unless it is nil: if it returns an error the mount stays and that error is returned.
func unmountAll(path string, busy func(at string) error) error {
	// mounts may be stacked upon each other, and appear only one by one
	for before, stuck := -1, 0; stuck < 100; stuck++ {
		all, err := mountsBelow(path)
		if err != nil || len(all) == 0 {
			return err
		}
		if len(all) != before {
			before, stuck = len(all), 0
		}
		if slices.ContainsFunc(all, func(m mount) bool { return m.shared }) {
			for _, m := range all {
				if err := m.private(); err != nil {
					return fmt.Errorf("make %s private: %w", m.at, err)
				}
			}
			if all, err = mountsBelow(path); err != nil {
				return err
			}
		}
		if err := unmountSome(all, busy); err != nil {
			return err
		}
	}
	return fmt.Errorf("unmount %s: something keeps mounting there", path)
}

// unmountSome unmounts the mounts that can be reached and have no other on them.
func unmountSome(all []mount, busy func(at string) error) error {
	shared, upon := map[int]bool{}, map[int]int{}
	for _, m := range all {
		shared[m.id] = m.shared
		upon[m.parent]++
	}
	for _, m := range slices.Backward(all) {
		if shared[m.parent] || upon[m.id] > 0 || !m.reachable() {
			continue
		}
		err := unix.Unmount(m.at, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			if busy != nil {
				if err := busy(m.at); err != nil {
					return err
				}
			}
			err = unix.Unmount(m.at, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		}
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", m.at, err)
		}
		if err == nil {
			upon[m.parent]--
		}
	}
	return nil
}

// open opens a mount's top directory or file. It reports false while another mount covers it: then
// its path may be a link that leads out.
func (m mount) open() (int, bool) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, m.at, &how)
	if err != nil {
		return -1, false
	}
	var st unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st) != nil || st.Mask&unix.STATX_MNT_ID != 0 && int(st.Mnt_id) != m.id {
		_ = unix.Close(fd)
		return -1, false
	}
	return fd, true
}

func (m mount) reachable() bool {
	fd, ok := m.open()
	if ok {
		_ = unix.Close(fd)
	}
	return ok
}

// private makes a mount and those on it private, covered ones too, if it can be reached.
func (m mount) private() error {
	fd, ok := m.open()
	if !ok {
		return nil
	}
	defer unix.Close(fd)
	return unix.Mount("", fmt.Sprintf("/proc/self/fd/%d", fd), "", unix.MS_PRIVATE|unix.MS_REC, "")
}

// bindRoot makes the directory root a private mount of itself, unless it is one. So mounts in there
// show nowhere else, and all of them can be made private at once.
func bindRoot(root string) error {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: root, Err: err}
	}
	var st unix.Statx_t
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH, 0, &st)
	_ = unix.Close(fd)
	if err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return nil
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "mount", Path: root, Err: err}
	}
	if err := unix.Mount("", root, "", unix.MS_PRIVATE, ""); err != nil {
		return &os.PathError{Op: "make private", Path: root, Err: err}
	}
	return nil
}

// isMount reports whether a directory in the directory at is a mount of a file system of this kind,
// and not just a directory of one.
func isMount(at, fd int, magic int64) bool {
	var fs unix.Statfs_t
	var above, here unix.Stat_t
	return unix.Fstatfs(fd, &fs) == nil && int64(fs.Type) == magic && unix.Fstat(at, &above) == nil &&
		unix.Fstat(fd, &here) == nil && above.Dev != here.Dev
}

// mountOverlay mounts a stack with upper and work at root, or read-only if upper is "". It passes
// paths as descriptors where the option's syntax has no safe way to write one, and where there are
// many: all of them have to fit in a page.
func mountOverlay(lower lowerDirs, upper, work, root string) error {
	name := func(path string, kept *[]int) (string, error) {
		if len(lower.dirs) == 1 && !strings.ContainsAny(path, `\,:`) {
			return path, nil
		}
		fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &os.PathError{Op: "open", Path: path, Err: err}
		}
		*kept = append(*kept, fd)
		return fmt.Sprintf("/proc/self/fd/%d", fd), nil
	}
	var kept []int
	defer func() {
		for _, fd := range kept {
			_ = unix.Close(fd)
		}
	}()
	options, flags := "", uintptr(0)
	for _, dir := range lower.dirs {
		n, err := name(dir, &kept)
		if err != nil {
			return err
		}
		options += ":" + n
	}
	options = "lowerdir=" + options[1:]
	if lower.layers {
		options = "userxattr," + options
	}
	if upper == "" {
		flags = unix.MS_RDONLY
	} else {
		for _, o := range []struct{ key, path string }{{"upperdir", upper}, {"workdir", work}} {
			n, err := name(o.path, &kept)
			if err != nil {
				return err
			}
			options += "," + o.key + "=" + n
		}
	}
	if err := unix.Mount("hostler", root, "overlay", flags, options); err != nil {
		return &os.PathError{Op: "mount overlay on", Path: root, Err: err}
	}
	// Mounts inside must not show elsewhere.
	if err := unix.Mount("", root, "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return errors.Join(err, unmountAll(root, nil))
	}
	return nil
}
