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

// The spare is a file beside the state that reserves some room on the disk. It is removed when a
// write finds the disk full: giving instances back, which makes room, has to be recorded first. It
// is made again when there is room for it, and for as much again.
const (
	spareSize = 512 << 10
	spareWait = 10 * time.Second // between two looks at it
	leanWait  = time.Second      // where a caller wants more
)

// errLean is the error of a transaction that grows while the disk is full and the spare is missing.
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

// shorten lets the log begin anew if no process reads it. While the disk is full it runs after each
// commit. Else the log, which grows by whole pages for a few bytes, soon takes the room that is
// kept for giving back. The caller holds wmu.
func (s *Store) shorten() {
	if s.write != nil {
		_ = s.write.exec("PRAGMA wal_checkpoint(PASSIVE)")
	}
}

// provideNow is provide for a caller that is refused without it: sooner, but no more often than
// leanWait.
func (s *Store) provideNow() {
	if time.Since(s.sought) < leanWait {
		return
	}
	s.sought, s.spared = time.Now(), time.Time{}
	s.provide()
}

// provide makes the spare file if it is missing and there is room. A failure is no error. The
// caller holds wmu, or is the only user of s.
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
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) { // another process makes it now
			return
		}
		_ = os.Remove(name) // its maker has died
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	// while we are at it; without the lock it may be made twice
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
