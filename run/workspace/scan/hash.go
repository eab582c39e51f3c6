package scan

import (
	"context"
	"crypto/sha256"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// readTries is how often a file that changes is read at most.
const readTries = 3

// buffers are for reading files.
var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// hash reads the files at these indexes of sights and sets their sums. All facts of a file are then
// from one moment.
func (s *scanner) hash(ctx context.Context, sights []foundPath, which []int) error {
	return parallel(ctx, s.fd, len(which), 8, func(c *cursor, i int) error { return s.hashOne(ctx, c, &sights[which[i]]) })
}

// hashOne reads and hashes one file. It reads a file that changes meanwhile again, readTries
// times in all.
func (s *scanner) hashOne(ctx context.Context, c *cursor, t *foundPath) error {
	for range readTries {
		fd, err := c.open(t.Path)
		if err == nil {
			var whole bool
			whole, err = s.read(ctx, fd, t)
			unix.Close(fd)
			if whole {
				return nil
			}
		}
		switch {
		case err == nil: // it changed while it was read
		case err == errOtherKind, gone(err), err == unix.ENXIO:
			// a link, a socket, or nothing any more
			*t = foundPath{Entry: Entry{Path: t.Path}}
			if err := s.statOne(c, t); err != nil || t.what != lookFile {
				return err
			}
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return unreadable(t.Path, err)
		}
	}
	return changingError("%q changes while it is read, %d times now", t.Path, readTries)
}

// errOtherKind says that the path is no regular file any more.
var errOtherKind = unix.EISDIR

// read hashes an open file and updates its sight. whole reports whether the file stayed the same.
func (s *scanner) read(ctx context.Context, fd int, t *foundPath) (whole bool, err error) {
	var before, after unix.Stat_t
	if err := again(func() error { return unix.Fstat(fd, &before) }); err != nil {
		return false, err
	}
	if before.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, errOtherKind
	}
	h := sha256.New()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, &descriptor{ctx, fd}, *buf)
	if err != nil {
		return false, err
	}
	if s.opt.read != nil {
		s.opt.read(t.Path)
	}
	if err := again(func() error { return unix.Fstat(fd, &after) }); err != nil {
		return false, err
	}
	t.id = identify(&after)
	if identify(&before) != t.id || n != after.Size {
		return false, nil
	}
	t.Mode, t.Size, t.ModTime = s.mode(uint32(after.Mode)), after.Size, t.id.mtime
	h.Sum(t.Sum[:0])
	return true, nil
}

// descriptor reads an open file until its context ends.
type descriptor struct {
	ctx context.Context
	fd  int
}

// Read reads from the descriptor until ctx is done.
func (d *descriptor) Read(b []byte) (n int, err error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	err = again(func() (err error) { n, err = unix.Read(d.fd, b); return err })
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
