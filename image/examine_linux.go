package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Examine tells whether images can be kept in dir, a store that need not exist yet: it makes there
// what layers are made of, and takes it away again.
func Examine(_ context.Context, dir string) []compute.Finding {
	const what = "images"
	const hint = "set XDG_CACHE_HOME to a directory on a file system of this machine: ext4, xfs, btrfs, or tmpfs of Linux 6.6"
	place := filepath.Clean(dir)
	for { // the nearest directory that there is
		if _, err := os.Stat(place); err == nil || place == "/" {
			break
		}
		place = filepath.Dir(place)
	}
	tmp, err := os.MkdirTemp(place, ".hostler-examine-")
	if err != nil {
		return []compute.Finding{{
			Result: "fail", What: what, Detail: fmt.Sprintf("nothing can be written in %s: %v", place, err),
			Hint: "set XDG_CACHE_HOME to a directory of your own",
		}}
	}
	defer func() { _ = removeTree(tmp) }()
	for _, try := range []func(int) error{
		func(fd int) error { return setOpaque(fd) },
		func(fd int) error { return makeWhiteout(fd, "gone") },
		func(fd int) error {
			d, err := unix.Openat2(fd, ".", &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: inside})
			if err != nil {
				return fmt.Errorf("openat2: %w", err)
			}
			return unix.Close(d)
		},
	} {
		d, err := os.Open(tmp)
		if err != nil {
			return []compute.Finding{{Result: "fail", What: what, Detail: err.Error()}}
		}
		err = try(int(d.Fd()))
		_ = d.Close()
		if err != nil {
			return []compute.Finding{{
				Result: "fail", What: what, Detail: fmt.Sprintf("layers cannot be kept in %s: %v", dir, err), Hint: hint,
			}}
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(place, &st); err != nil {
		return []compute.Finding{{Result: "warn", What: what, Detail: fmt.Sprintf("%s: %v", place, err)}}
	}
	free := st.Bavail * uint64(st.Bsize) >> 20
	if free < leastFree {
		return []compute.Finding{{
			Result: "warn", What: what, Detail: fmt.Sprintf("only %d MiB are free in %s", free, dir),
			Hint: "hostler image gc --older-than 7d",
		}}
	}
	return []compute.Finding{{Result: "ok", What: what, Detail: fmt.Sprintf("%s, %d MiB free", dir, free)}}
}

// leastFree is so many MiB as a small distribution's image takes.
const leastFree = 512

// setOpaque marks an open directory as one that hides what the layers below have in it.
func setOpaque(fd int) error {
	err := setxattrFd(fd, opaqueXattr, []byte("y"))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("this file system keeps no attributes user.*, which say that a directory hides others: %w", err)
	}
	return err
}

// makeWhiteout makes what hides a name of the layers below.
func makeWhiteout(at int, name string) error {
	err := unix.Mknodat(at, name, unix.S_IFCHR, 0)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf(
			"a character device 0:0, which says that a name is hidden, cannot be made: Linux 5.8 lets everybody, some file systems nobody: %w",
			err,
		)
	}
	return err
}
