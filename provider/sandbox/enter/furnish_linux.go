package enter

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/confine"
)

// The devices of a sandbox: the host's own nodes, as none can be made in a user name space.
var devices = [...]string{"null", "zero", "full", "random", "urandom", "tty"}

// takeDevices takes mounts of the devices, as long as the host's are in sight. One that is missing
// is -1.
func takeDevices() [len(devices)]int {
	var out [len(devices)]int
	for i, name := range devices {
		fd, err := unix.OpenTree(unix.AT_FDCWD, "/dev/"+name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			fd = -1
		}
		out[i] = fd
	}
	return out
}

// closed are the places of /proc that change the whole machine or tell of it, and that the kernel
// opens to a root user or to everybody. The sandbox's root is an ordinary user outside, so the
// kernel refuses it the rest of /proc.
var closed = [...]struct {
	path string
	mask bool // hidden; else it can be read only
}{{"/proc/sys", false}, {"/proc/sysrq-trigger", false}, {"/proc/kcore", true}, {"/proc/keys", true}}

// furnish mounts /proc, /sys and /dev. It works in the new root, so whatever links an image has
// lead nowhere else. hostProc is the host's own /proc, or -1: without a name space of processes
// there can be no other.
func furnish(p *Plan, nodes [len(devices)]int, hostProc int) error {
	// An image may lack the directories; where it has links in their place the mount is where the
	// link leads, inside.
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mkdir(dir, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return at(err, "make %s", dir)
		}
	}
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if hostProc >= 0 {
		if err := unix.MoveMount(hostProc, "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return at(err, "show the host's /proc")
		}
	} else if err := unix.Mount("proc", "/proc", "proc", safe, ""); err != nil {
		return at(err, "mount /proc")
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", safe|unix.MS_RDONLY, ""); err != nil {
		// Where the host's /sys is not whole in sight the kernel refuses it; programs do without.
		if err := unix.Mount("tmpfs", "/sys", "tmpfs", safe|unix.MS_RDONLY, "size=0,mode=0555"); err != nil {
			return at(err, "mount /sys")
		}
	}
	if err := dev(p, nodes); err != nil {
		return at(err, "make /dev")
	}
	if p.has("counts") {
		if err := counts(p); err != nil {
			return at(err, "bound what the kernel counts by user")
		}
	}
	if !p.Nesting && p.has(confine.Seccomp) && p.has("pid") {
		p.clone3 = confine.ForbidUsers() == nil
	}
	if p.has("proc") {
		for _, c := range closed {
			if err := closeOff(c.path, c.mask, nodes[0]); err != nil && !errors.Is(err, unix.ENOENT) {
				return at(err, "close off %s", c.path)
			}
		}
	}
	return nil
}

// closeOff makes a path unchangeable, or puts nothing in its place.
func closeOff(name string, mask bool, null int) error {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return err
	}
	var fd int
	var err error
	switch {
	case mask && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return unix.Mount("tmpfs", name, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=0,mode=0555")
	case mask:
		fd, err = unix.OpenTree(unix.AT_FDCWD, "/dev/null", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	default:
		fd, err = unix.OpenTree(unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !mask {
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return err
		}
	}
	return unix.MoveMount(fd, "", unix.AT_FDCWD, name, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// The links of /dev.
var links = [...][2]string{
	{"/dev/ptmx", "pts/ptmx"}, {"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"},
}

// dev makes /dev: a small file system in memory with the devices, the links, terminals and shm.
func dev(p *Plan, nodes [len(devices)]int) error {
	size := p.Shm
	if size <= 0 {
		size = 64 << 20
	}
	err := unix.Mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, fmt.Sprintf("mode=755,size=%d,nr_inodes=4096", size))
	if err != nil {
		return err
	}
	for i, fd := range nodes {
		if fd < 0 {
			return fmt.Errorf("the host has no /dev/%s", devices[i])
		}
		name := "/dev/" + devices[i]
		node, err := unix.Open(name, unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o666)
		if err != nil {
			return err
		}
		_ = unix.Close(node)
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, name, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_ = unix.Close(fd)
	}
	for _, l := range links {
		if err := unix.Symlink(l[1], l[0]); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/dev/shm", "/dev/pts"} {
		if err := unix.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Chmod("/dev/shm", 0o1777); err != nil {
		return err
	}
	options := "newinstance,ptmxmode=0666,mode=0620"
	if p.PTYs > 0 { // counted for this mount alone: kernel.pty.max is for all of the machine
		options += ",max=" + strconv.FormatInt(p.PTYs, 10)
	}
	if err := unix.Mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("/dev/pts: %w", err)
	}
	return nil
}
