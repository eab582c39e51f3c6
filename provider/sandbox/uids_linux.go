package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The user ids of root's sandboxes: ranges that no system and no container manager gives out (systemd documents what is taken), so that whoever gets
// out of a sandbox is nobody, and nobody of another sandbox either.
const (
	uidFirst = 0x70000000
	uidCount = 1 << 16
	uidSlots = 4093
	uidDir   = "/run/hostler"
	uidFile  = "/run/hostler/sandbox-uids"
)

// errNoUIDs: all ranges are in use.
var errNoUIDs = errors.New("there are 4093 sandboxes on this machine already, and no user ids for more")

// takeUIDs returns the first of a range of user ids that is nobody's, beginning to look at hint, and the file whose lock keeps it: as long as anybody
// has that open, the range is taken.
func takeUIDs(hint int) (int, *os.File, error) {
	f, err := os.OpenFile(uidFile, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(uidDir, 0o755); err == nil {
			f, err = os.OpenFile(uidFile, os.O_RDWR|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return 0, nil, err
	}
	for i := range uidSlots {
		slot := (hint + i) % uidSlots
		// The lock belongs to the open file, not to a process: the sandbox's own process inherits it.
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(slot), Len: 1}
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
		if err == nil {
			return uidFirst + slot*uidCount, f, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			f.Close()
			return 0, nil, err
		}
	}
	f.Close()
	return 0, nil, errNoUIDs
}

// rangesMapped reports whether the ranges are user ids of ours to give: the root of a container often has but a few, and is no more than an ordinary
// user to the kernel.
func rangesMapped() bool {
	for _, name := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return false
		}
		covered := false
		for line := range strings.Lines(string(text)) {
			var first, outside, count int64
			if n, _ := fmt.Sscan(line, &first, &outside, &count); n == 3 {
				covered = covered || first <= uidFirst && first+count >= uidFirst+uidSlots*uidCount
			}
		}
		if !covered {
			return false
		}
	}
	return true
}
