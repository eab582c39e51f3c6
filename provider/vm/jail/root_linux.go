package jail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// build makes a root in memory with the shown files, and leaves the host's.
func build(p *Plan) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part from the host's mounts: %w", err)
	}
	if p.User == 0 { // without a user of its own qemu opens the host's device files
		for _, d := range p.Devices {
			p.Shown = append(p.Shown, Mount{Path: d})
		}
		p.Devices = nil
	}
	// Opened now, as the new root may lie over some of them.
	taken := make([]int, len(p.Shown))
	for i, m := range p.Shown {
		fd, err := unix.Open(m.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: m.Path, Err: err}
		}
		taken[i] = fd
		defer unix.Close(fd)
	}
	if err := unix.Mount("jail", p.Scratch, "tmpfs", unix.MS_NOSUID, "mode=0755,size=256k,nr_inodes=4096"); err != nil {
		return fmt.Errorf("mount a root in memory: %w", err)
	}
	for _, d := range p.Devices {
		if err := device(d, p); err != nil {
			return fmt.Errorf("device %s: %w", d, err)
		}
	}
	for i, m := range p.Shown {
		if err := show(taken[i], m, p.Scratch); err != nil {
			return fmt.Errorf("show %s: %w", m.Path, err)
		}
	}
	if err := unix.Chdir(p.Scratch); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID, ""); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	return nil
}

// device makes a device in the new root that belongs to the plan's user alone.
func device(path string, p *Plan) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	at := filepath.Join(p.Scratch, path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if err := unix.Mknod(at, unix.S_IFCHR|0o600, int(st.Rdev)); err != nil {
		return err
	}
	return os.Chown(at, p.User, p.User)
}

// show mounts an opened file or directory at its place in the new root.
func show(fd int, m Mount, root string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	at := filepath.Join(root, m.Path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
	} else if f, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444); err == nil {
		_ = f.Close()
	} else if !errors.Is(err, fs.ErrExist) { // it may lie in a directory that is shown
		return err
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(fd), at, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	var now unix.Statfs_t
	if err := unix.Statfs(at, &now); err != nil {
		return err
	}
	// Flags that it has may be locked: then they have to stay.
	flags := uintptr(now.Flags) & (unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RDONLY)
	if now.Flags&unix.ST_RELATIME != 0 {
		flags |= unix.MS_RELATIME
	}
	if !m.Write {
		flags |= unix.MS_RDONLY
	}
	return unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|flags, "")
}
