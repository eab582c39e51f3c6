package tree

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How Seek finds data and holes.
const (
	seekData = unix.SEEK_DATA
	seekHole = unix.SEEK_HOLE
)

func makeFifo(dir *os.File, name string) error {
	return unix.Mkfifoat(int(dir.Fd()), name, 0o600)
}

// setLinkTime sets the time of a link itself.
func setLinkTime(dir *os.File, name string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return nil // before the kernel's first day: a link's time is not worth an error
	}
	return unix.UtimesNanoAt(int(dir.Fd()), name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
