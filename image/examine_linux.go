package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
)

// Examine reports whether images can be kept in dir, a store that need not exist yet. It makes the
// parts of a layer there, and removes them again.
func Examine(_ context.Context, dir string) []compute.Finding {
	const what = "images"
	const hint = "set XDG_CACHE_HOME to a directory on a file system of this machine: ext4, xfs, btrfs, or tmpfs of Linux 6.6"
	place := filepath.Clean(dir)
	for { // up to the nearest existing directory
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
	defer func() { _ = layer.RemoveTree(tmp) }()
	for _, try := range []func(int) error{
		func(fd int) error { return layer.SetOpaque(fd) },
		func(fd int) error { return layer.MakeWhiteout(fd, "gone") },
		func(fd int) error {
			d, err := unix.Openat2(fd, ".", &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: layer.Inside})
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

// leastFree is the size of a small distribution's image, in MiB.
const leastFree = 512
