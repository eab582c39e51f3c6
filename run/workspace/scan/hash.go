package scan

import (
	"context"
	"crypto/sha256"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// readTries is how often a file is read that changes while it is.
const readTries = 3

// buffers are what files are read through.
var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// hash reads the files at the given places of sights, and fills in their sums. What it then says of
// a file was all true at one moment.
func (s *scanner) hash(ctx context.Context, sights []sight, which []int) error {
	return spread(ctx, s.fd, len(which), 8, func(c *cursor, i int) error { return s.hashOne(ctx, c, &sights[which[i]]) })
}

func (s *scanner) hashOne(ctx context.Context, c *cursor, t *sight) error {
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
		case err == nil: // it changed meanwhile
		case err == errOtherKind, gone(err), err == unix.ENXIO:
			// a link, a socket, or nothing by now
			*t = sight{Entry: Entry{Path: t.Path}}
			if err := s.seeOne(c, t); err != nil || t.what != lookFile {
				return err
			}
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return unreadable(t.Path, err)
		}
	}
	return changing("%q changes while it is read, %d times now", t.Path, readTries)
}

// errOtherKind says that what was a file is none any more.
var errOtherKind = unix.EISDIR

// read hashes an open file, and reports whether it stayed the same meanwhile. The sight becomes
// that of this file.
func (s *scanner) read(ctx context.Context, fd int, t *sight) (whole bool, err error) {
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
