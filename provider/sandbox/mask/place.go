//go:build linux

package mask

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Place returns a directory for layers that lie over root: one on another file system than root's, since overlayfs does not put a directory over
// one that it is in, and where this user may write user.* attributes. It tries the given directory (the runtime directory, for one) first, then one
// in /dev/shm that is named for the user. It makes the directory, and tries what it must be able to do.
func Place(root, first string) (string, error) {
	var base unix.Stat_t
	if err := lstat(root, &base); err != nil {
		return "", &os.PathError{Op: "lstat", Path: root, Err: err}
	}
	var errs []error
	for _, dir := range []string{first, "/dev/shm/hostler-mask-" + strconv.Itoa(os.Geteuid())} {
		if dir == "" {
			continue
		}
		var st unix.Stat_t
		err := own(dir)
		if err == nil {
			err = lstat(dir, &st)
		}
		if err == nil && st.Dev == base.Dev {
			err = errors.New("it is on the file system that is to be hidden from")
		}
		if err == nil {
			err = try(dir)
		}
		if err == nil {
			return dir, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", dir, err))
	}
	return "", fmt.Errorf("no place for the layer that hides the host's secrets: %w", errors.Join(errs...))
}

// try makes what a layer is made of, and removes it.
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
