package chroot

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// inside opens a path below root as a process in there would see it: no link and no mount
// leads out.
func inside(root, name string, flags int) (int, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(dir, name, &how)
		// a process renames directories on the way
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: path.Join(root, name), Err: err}
		}
		return fd, nil
	}
}

// subdir opens a directory in a directory, and makes it if need be. It removes a file or a link of
// that name.
func subdir(at int, name string) (int, error) {
	flags := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	for range 10 {
		fd, err := unix.Openat(at, name, flags, 0)
		switch {
		case err == nil:
			return fd, nil
		case errors.Is(err, unix.ENOENT):
		case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
			if err := unix.Unlinkat(at, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
				return -1, &os.PathError{Op: "remove", Path: name, Err: err}
			}
		default:
			return -1, &os.PathError{Op: "open", Path: name, Err: err}
		}
		if err := unix.Mkdirat(at, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, &os.PathError{Op: "mkdir", Path: name, Err: err}
		}
	}
	return -1, &os.PathError{Op: "open", Path: name, Err: unix.ELOOP}
}

// mountOn mounts a file system on the directory name in at, unless it is one of that kind already,
// and opens its root.
func mountOn(at int, name, kind string, magic int64, flags uintptr, options string) (int, error) {
	fd, err := subdir(at, name)
	if err != nil || isMount(at, fd, magic) {
		return fd, err
	}
	err = unix.Mount(kind, fmt.Sprintf("/proc/self/fd/%d", fd), kind, flags, options)
	_ = unix.Close(fd)
	if err != nil {
		return -1, fmt.Errorf("mount %s on /%s: %w", kind, name, err)
	}
	return subdir(at, name)
}

// The devices of an instance, by major and minor number.
var devices = []struct {
	name         string
	major, minor uint32
}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}

// The links of an instance's /dev.
var links = [][2]string{
	{"ptmx", "pts/ptmx"}, {"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
}

// furnish mounts /proc and a small /dev. It may be called again.
func (p *Provider) furnish(root string) error {
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(top)
	proc, err := mountOn(top, "proc", "proc", unix.PROC_SUPER_MAGIC, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err != nil {
		return err
	}
	_ = unix.Close(proc)
	if err := p.at("dev"); err != nil {
		return err
	}
	dev, err := mountOn(top, "dev", "tmpfs", unix.TMPFS_MAGIC, unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=64m,nr_inodes=64k")
	if err != nil {
		return err
	}
	defer unix.Close(dev)
	for _, d := range devices {
		err := unix.Mknodat(dev, d.name, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor)))
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if errors.Is(err, unix.EPERM) {
			err = lend(dev, d.name)
		} else if err == nil {
			err = unix.Fchmodat(dev, d.name, 0o666, 0) // whatever the umask is
		}
		if err != nil {
			return fmt.Errorf("/dev/%s: %w", d.name, err)
		}
	}
	for _, l := range links {
		if err := unix.Symlinkat(l[1], dev, l[0]); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("/dev/%s: %w", l[0], err)
		}
	}
	if err := unix.Mkdirat(dev, "shm", 0o755); err == nil {
		if err := unix.Fchmodat(dev, "shm", 0o1777, 0); err != nil {
			return fmt.Errorf("/dev/shm: %w", err)
		}
	}
	pts, err := mountOn(
		dev, "pts", "devpts", unix.DEVPTS_SUPER_MAGIC, unix.MS_NOSUID|unix.MS_NOEXEC,
		"newinstance,ptmxmode=0666,mode=0620,gid=5",
	)
	if err != nil {
		return err
	}
	return unix.Close(pts)
}

// lend mounts this machine's device in an instance, where no devices can be made, as in most
// containers.
func lend(dev int, name string) error {
	fd, err := unix.Openat(dev, name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o666)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Mount("/dev/"+name, fmt.Sprintf("/proc/self/fd/%d", fd), "", unix.MS_BIND, "")
}

// resolv copies this machine's resolv.conf into an instance, and replaces what is there.
func resolv(root string) error {
	data, err := os.ReadFile("/etc/resolv.conf")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	etc, err := subdir(top, "etc")
	if err != nil {
		return err
	}
	defer unix.Close(etc)
	if err := unix.Unlinkat(etc, "resolv.conf", 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	fd, err := unix.Openat(etc, "resolv.conf", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "resolv.conf")
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
