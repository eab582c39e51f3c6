package sqlite

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"
)

// The spare is a file beside the state that holds some room on the disk. It goes when a write finds
// the disk full: that computers are given back, which makes room, has to be recorded first. It is
// made again when there is room for it, and for as much again.
const (
	spareSize = 512 << 10
	spareWait = 10 * time.Second // between two looks at it
	leanWait  = time.Second      // where somebody wants more
)

// errLean is the error of what wants more while the disk was found full and the spare is not there.
var errLean = &lean{}

type lean struct{}

func (*lean) Error() string {
	return "the disk is full, and what room there is is kept for what is given back"
}
func (*lean) Code() int { return sqlite3.SQLITE_FULL }

// isFull tells whether an error is of a disk that has no room.
func isFull(err error) bool {
	var code interface{ Code() int }
	if errors.As(err, &code) {
		return code.Code() == sqlite3.SQLITE_IOERR_SHMSIZE || code.Code()&0xff == sqlite3.SQLITE_FULL
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// yield gives the spare up. The caller holds wmu, and tries once more.
func (s *Store) yield() {
	s.spared, s.lean = time.Now(), true
	_ = os.Remove(s.path + "-spare")
	s.shorten()
}

// shorten lets the log begin anew where nobody reads it. While the disk is full it is done after
// each commit: else the log, which grows by whole pages for what are a few bytes in the file, takes
// in moments the room that there is for giving back. The caller holds wmu.
func (s *Store) shorten() {
	if s.write != nil {
		_ = s.write.exec("PRAGMA wal_checkpoint(PASSIVE)")
	}
}

// provideNow is provide for who is refused without it: sooner, and no more often than leanWait.
func (s *Store) provideNow() {
	if time.Since(s.sought) < leanWait {
		return
	}
	s.sought, s.spared = time.Now(), time.Time{}
	s.provide()
}

// provide makes the spare where it is missing and there is room. That it cannot be made is no
// error. The caller holds wmu, or has s for himself.
func (s *Store) provide() {
	if s.opt.Unsafe || time.Since(s.spared) < spareWait {
		return
	}
	s.spared = time.Now()
	name := s.path + "-spare"
	if fi, err := os.Lstat(name); err == nil {
		if fi.Size() == spareSize {
			s.lean = false
			return
		}
		left, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW, 0)
		if err == nil {
			defer left.Close()
			err = fcntl(left, setLock, unix.F_WRLCK, 0, new(unix.Flock_t))
		}
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) { // somebody is at it
			return
		}
		_ = os.Remove(name) // who was at it has died
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	// for as long as we are at it; where that is not to be had it may be made twice
	_ = fcntl(f, setLock, unix.F_WRLCK, 0, new(unix.Flock_t))
	// Bytes that no file system packs, as not each of them can set room aside.
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), 2*spareSize)
	if err == nil {
		err = f.Truncate(spareSize)
	}
	if errors.Join(err, f.Close()) != nil {
		_ = os.Remove(name)
		return
	}
	s.lean = false
}
