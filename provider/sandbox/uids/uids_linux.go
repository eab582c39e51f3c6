package uids

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// The user ids of root's sandboxes: ranges that no system and no container manager gives out
// (systemd documents the ranges in use). So a process that escapes from a sandbox is nobody, and
// nobody of another sandbox either.
const (
	lowest = 0x70000000
	Count  = 1 << 16 // of a range
	Slots  = 4093    // ranges
	dir    = "/run/hostler"
	file   = "sandbox-uids"
)

// ErrNone means that all ranges are in use.
var ErrNone = errors.New("there are 4093 sandboxes on this machine already, and no user ids for more")

// Range is a range of user ids, taken as long as a process has its file open.
type Range struct {
	First int
	File  *os.File // its lock keeps the range; the sandbox's first process inherits it
}

// Take takes a free range, and starts to look at hint. Close its file.
func Take(hint int) (Range, error) {
	f, err := open(dir, file)
	if err != nil {
		return Range{}, err
	}
	for i := range Slots {
		slot := (hint + i) % Slots
		// The lock belongs to the open file, not to a process: the sandbox's own process inherits
		// it.
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(slot), Len: 1}
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
		if err == nil && dying(f, slot) {
			lock.Type = unix.F_UNLCK
			err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
			if err == nil {
				continue
			}
		}
		if err == nil {
			return Range{lowest + slot*Count, f}, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			f.Close()
			return Range{}, err
		}
	}
	f.Close()
	return Range{}, ErrNone
}

// open opens the file of locks. It has to be root's, in a directory that only root writes to:
// other users could replace a file of theirs, and two sandboxes would have the same users.
func open(dir, name string) (*os.File, error) {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(at)
	if err := rootsAlone(at, unix.S_IFDIR); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	fd, err := unix.Openat(at, name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir + "/" + name, Err: err}
	}
	f := os.NewFile(uintptr(fd), dir+"/"+name)
	if err := rootsAlone(fd, unix.S_IFREG); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return f, nil
}

// rootsAlone refuses a file of another kind, or one that others than root own or may write.
func rootsAlone(fd int, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != kind || st.Uid != 0 || st.Mode&0o022 != 0 {
		return &compute.Error{Kind: compute.ErrUnavailable, Err: fmt.Errorf("it is not root's alone (user %d, mode %o)", st.Uid, st.Mode),
			Hint: "somebody else has had his hands in it: look at what it is, and remove it"}
	}
	return nil
}

// The file has a record for each range: the number and start time of the first process that had it
// last. Its lock goes a moment before the last processes of its name space do, as the first process
// closes its files before it ends them.
const record = 16

// Keep records the process that has the range.
func (u Range) Keep(l proc.Process) error {
	var b [record]byte
	binary.NativeEndian.PutUint64(b[:], uint64(l.PID))
	binary.NativeEndian.PutUint64(b[8:], l.Start)
	_, err := u.File.WriteAt(b[:], int64((u.First-lowest)/Count*record))
	return err
}

// dying reports whether processes of the range's last sandbox may still be there.
func dying(f *os.File, slot int) bool {
	var b [record]byte
	if n, _ := f.ReadAt(b[:], int64(slot*record)); n < record {
		return false // the range was never used
	}
	pid := binary.NativeEndian.Uint64(b[:])
	if pid == 0 || pid > 1<<30 || unix.Kill(int(pid), 0) == unix.ESRCH {
		return false
	}
	boot, err := proc.BootID()
	if err != nil {
		return true
	}
	alive, err := proc.Process{PID: int(pid), Start: binary.NativeEndian.Uint64(b[8:]), Boot: boot}.Alive()
	return alive || err != nil
}

// Mapped reports whether the ranges are user ids of ours to give.
func Mapped() bool { return proc.IDsMapped(lowest, Slots*Count) }
