package scan

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// foundPath is what the scan found at a path.
type foundPath struct {
	Entry
	what    look
	module  bool // a directory that git tracks: a submodule, checked out or not
	outside bool // a link that leads out of the tree
	id      identity
}

type look uint8

const (
	lookGone look = iota
	lookFile
	lookLink
	lookDir
	lookSpecial
)

// identity has the attributes that change when a file's contents do.
type identity struct {
	size, mtime, ctime int64
	ino                uint64
	mode               uint32
}

func identify(st *unix.Stat_t) identity {
	return identity{size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), ino: st.Ino, mode: uint32(st.Mode)}
}

// workers returns how many goroutines look and hash at once.
func workers() int { return min(max(runtime.GOMAXPROCS(0), 2), 8) }

// chunk is how many neighbouring paths a goroutine takes at a time.
const chunk = 128

// parallel calls do for each of n things, in chunks of neighbours, on several goroutines. Each
// goroutine has a cursor under root.
func parallel(ctx context.Context, root int, n, size int, do func(c *cursor, i int) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(workers(), (n+size-1)/size) {
		group.Go(func() error {
			c := cursor{root: root}
			defer c.close()
			for {
				from := int(next.Add(int64(size))) - size
				if from >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				for i := from; i < min(from+size, n); i++ {
					if err := do(&c, i); err != nil {
						return err
					}
				}
			}
		})
	}
	return group.Wait()
}

// statAll reads the attributes of all paths.
func (s *scanner) statAll(ctx context.Context, sights []foundPath) error {
	return parallel(ctx, s.fd, len(sights), chunk, func(c *cursor, i int) error { return s.statOne(c, &sights[i]) })
}

// statOne reads the attributes of one path.
func (s *scanner) statOne(c *cursor, t *foundPath) error {
	var st unix.Stat_t
	if err := c.lstat(t.Path, &st); gone(err) {
		return nil
	} else if err != nil {
		return unreadable(t.Path, err)
	}
	t.id = identify(&st)
	switch uint32(st.Mode) & unix.S_IFMT {
	case unix.S_IFREG:
		t.what, t.Kind = lookFile, File
		t.Mode, t.Size, t.ModTime = s.mode(uint32(st.Mode)), st.Size, t.id.mtime
	case unix.S_IFLNK:
		target, err := c.readlink(t.Path)
		if gone(err) || err == unix.EINVAL { // it was a link a moment ago
			return nil
		}
		if err != nil {
			return unreadable(t.Path, err)
		}
		t.what, t.Kind, t.Target, t.outside = lookLink, Link, target, leadsOut(t.Path, target)
	case unix.S_IFDIR:
		t.what, t.Kind = lookDir, Dir
		t.Mode = 0o755
		if s.opt.FullModes {
			t.Mode = uint32(st.Mode) & 0o777
		}
	default:
		t.what = lookSpecial
	}
	return nil
}

// mode returns the mode to send for a file's mode.
func (s *scanner) mode(m uint32) uint32 {
	switch {
	case s.opt.FullModes:
		return m & 0o777
	case m&0o100 != 0:
		return 0o755
	}
	return 0o644
}

// leadsOut reports whether a link leads out of the tree, judged by its text alone.
func leadsOut(at, target string) bool {
	if strings.HasPrefix(target, "/") {
		return true
	}
	to := path.Join(path.Dir(at), target)
	return to == ".." || strings.HasPrefix(to, "../")
}

func unreadable(at string, err error) error {
	return refused("make it readable, or take it out by a line in .hostlerignore", "%w", &fs.PathError{Op: "read", Path: at, Err: err})
}

// changingError is the error for a tree or file that keeps changing.
func changingError(format string, args ...any) error {
	return &compute.Error{Op: "sync", Kind: compute.ErrUnavailable, Err: fmt.Errorf(format, args...),
		Hint: "run again when nobody writes to it, or take it out by a line in .hostlerignore"}
}
