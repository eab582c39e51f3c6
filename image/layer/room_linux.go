package layer

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

const (
	diskMargin = 1 << 30  // stays free on the store's disk, or a twentieth of it where that is less
	lookAtDisk = 64 << 20 // bytes between two looks at how much is free
)

// room looks now and then whether the disk has any left beyond what everything else needs of it.
func (m *Meter) room(fd int, written int) error {
	if m.unseen += int64(written); m.unseen < lookAtDisk {
		return nil
	}
	m.unseen = 0
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	left, all := int64(st.Bavail)*st.Bsize, int64(st.Blocks)*st.Bsize
	if margin := min(diskMargin, all/20); left < margin {
		return &compute.Error{Op: "image.Pull", Kind: compute.ErrUnavailable,
			Err:  fmt.Errorf("the disk of the images has %d bytes left, and %d of them stay free", left, margin),
			Hint: "hostler image gc --older-than 1h makes room"}
	}
	return nil
}
