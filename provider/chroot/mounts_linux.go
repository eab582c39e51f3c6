package chroot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountsBelow returns the mount points at and below path, in the order in which they were mounted.
func mountsBelow(path string) ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if at := unescape(string(fields[4])); at == path || strings.HasPrefix(at, path+"/") {
			out = append(out, at)
		}
	}
	return out, nil
}

// unescape undoes what the kernel does to blanks and the like: \040.
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

// unmountAll unmounts everything at and below path, those mounts included that were made from inside, and looks that nothing is left.
func unmountAll(path string) error {
	for range 100 { // mounts may be stacked upon each other
		all, err := mountsBelow(path)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return nil
		}
		for i := len(all) - 1; i >= 0; i-- {
			err := unix.Unmount(all[i], unix.UMOUNT_NOFOLLOW)
			if errors.Is(err, unix.EBUSY) { // somebody outside looks into it: it goes when he does
				err = unix.Unmount(all[i], unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
			}
			if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("unmount %s: %w", all[i], err)
			}
		}
	}
	return fmt.Errorf("unmount %s: something keeps mounting there", path)
}

// isMount reports whether a directory in the directory at is a mount of a file system of this kind: and not just a directory where all is of it.
func isMount(at, fd int, magic int64) bool {
	var fs unix.Statfs_t
	var above, here unix.Stat_t
	return unix.Fstatfs(fd, &fs) == nil && int64(fs.Type) == magic && unix.Fstat(at, &above) == nil && unix.Fstat(fd, &here) == nil && above.Dev != here.Dev
}

// mountOverlay mounts base with upper and work at root. The paths go as descriptors, since the option's syntax has no safe way to write some.
func mountOverlay(base, upper, work, root string) error {
	name := func(path string, kept *[]int) (string, error) {
		if !strings.ContainsAny(path, `\,:`) {
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
	options := ""
	for _, o := range []struct{ key, path string }{{"lowerdir", base}, {"upperdir", upper}, {"workdir", work}} {
		n, err := name(o.path, &kept)
		if err != nil {
			return err
		}
		options += "," + o.key + "=" + n
	}
	if err := unix.Mount("hostler", root, "overlay", 0, options[1:]); err != nil {
		return &os.PathError{Op: "mount overlay on", Path: root, Err: err}
	}
	// What is mounted inside must not show elsewhere.
	if err := unix.Mount("", root, "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return errors.Join(err, unmountAll(root))
	}
	return nil
}
