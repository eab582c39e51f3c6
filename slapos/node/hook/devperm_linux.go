package hook

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const diskFile = ".slapos-disk-permission"

// disk is one that is asked for.
type disk struct {
	Disk string `json:"disk"`
}

// devices gives the disks that are asked for to a partition's user, and takes those back that are
// not any more.
func (h *Hooks) devices(p *partition) error {
	if p.user == nil {
		return nil // nothing can be given
	}
	all, err := asked[disk](p, diskFile)
	if err != nil {
		return err
	}
	var allowed []string
	if h.o.Setting != nil {
		if allowed, err = h.o.Setting(devPerm, "allowed-disk-for-vm"); err != nil {
			return err
		}
	}
	var keep []string
	var wrong []error
	for _, one := range all {
		path, err := device(one.Disk)
		if err == nil && len(allowed) > 0 &&
			!slices.ContainsFunc(allowed, func(text string) bool { is, err := device(text); return err == nil && is == path }) {
			err = errors.New("allowed-disk-for-vm does not have it")
		}
		if err == nil {
			err = h.give(p, path)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("the disk %.200q is not given: %w", one.Disk, err))
			continue
		}
		keep = append(keep, path)
	}
	return errors.Join(append(wrong, h.takeBack(p, keep))...)
}

// device is the file of a block device, links followed. Only files directly in /dev count, where
// only root makes files.
func device(path string) (string, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || !strings.HasPrefix(path, "/dev/") {
		return "", errors.New("it is no path below /dev")
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if dir := filepath.Dir(path); dir != "/dev" && dir != "/dev/mapper" {
		return "", errors.New("it leads out of /dev")
	}
	return path, nil
}

// give gives a device to a partition's user, if nothing of the machine uses it.
func (h *Hooks) give(p *partition, path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return errors.New("it is no block device")
	}
	about, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/uevent", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
	if err != nil || !strings.Contains(string(about), "DEVTYPE=disk") && !strings.Contains(string(about), "DEVTYPE=partition") {
		return errors.New("it is neither a disk nor a partition of one")
	}
	switch st.Uid {
	case p.user.UID:
		return nil
	case 0:
	default:
		return fmt.Errorf("it is user %d's", st.Uid)
	}
	// A file system on it, a swap area, a volume: with O_EXCL the kernel says so.
	use, err := unix.Open(path, unix.O_RDONLY|unix.O_EXCL|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("it is used by this machine: %w", err)
	}
	_ = unix.Close(use)
	if err := unix.Fchownat(fd, "", int(p.user.UID), diskGroup(), unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	h.logf("%s: %s is given to it", p.ID, path)
	return nil
}

// takeBack gives to root what block devices a partition's user has, but for some.
func (h *Hooks) takeBack(p *partition, keep []string) error {
	if p.user == nil {
		return nil
	}
	var wrong []error
	for _, dir := range []string{"/dev", "/dev/mapper"} {
		all, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range all {
			path := filepath.Join(dir, e.Name())
			var st unix.Stat_t
			if e.Type()&os.ModeDevice == 0 || e.Type()&os.ModeCharDevice != 0 || slices.Contains(keep, path) ||
				unix.Lstat(path, &st) != nil || st.Uid != p.user.UID {
				continue
			}
			if err := os.Lchown(path, 0, diskGroup()); err != nil {
				wrong = append(wrong, err)
				continue
			}
			h.logf("%s: %s is taken back", p.ID, path)
		}
	}
	return errors.Join(wrong...)
}

// diskGroup is the group disk, or root's.
func diskGroup() int {
	g, err := user.LookupGroup("disk")
	if err != nil {
		return 0
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return 0
	}
	return gid
}
