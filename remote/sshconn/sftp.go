package sshconn

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/sync/errgroup"

	"github.com/hostler-project/hostler/remote/files"
	"github.com/hostler-project/hostler/remote/tree"
)

// sftpFiles are the far side's files over SFTP.
type sftpFiles struct {
	*sftp.Client
	sess  *sshSession
	owner bool
	stop  func() bool
	once  sync.Once
	// directories by their paths that this call made: there is nothing in them that it did not put
	// there
	made sync.Map
}

var errNoSFTP = errors.New("the host has no SFTP")

// openFar opens SFTP where the host has it, else it makes do with sh.
func (s *Conn) openFar(ctx context.Context) (files.Files, error) {
	f, err := s.openSFTP(ctx)
	if errors.Is(err, errNoSFTP) {
		return &files.Shell{Runner: s, Owner: s.opt.Owner}, nil
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openSFTP opens the host's SFTP subsystem. The error is errNoSFTP where there is none.
func (s *Conn) openSFTP(ctx context.Context) (*sftpFiles, error) {
	sess, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	if err := sess.request(ctx, "subsystem", struct{ Name string }{"sftp"}); err != nil {
		sess.leave()
		if ctx.Err() != nil || sess.link.lost() {
			return nil, err
		}
		return nil, errNoSFTP
	}
	go discard(sess.Stderr())
	c, err := await(ctx, sess.link.gone, func() (*sftp.Client, error) {
		return sftp.NewClientPipe(sess, sess, sftp.UseConcurrentWrites(true), sftp.UseConcurrentReads(true))
	}, func(c *sftp.Client) { c.Close() })
	if err != nil {
		sess.leave()
		if ctx.Err() != nil || sess.link.lost() {
			return nil, err
		}
		return nil, errNoSFTP
	}
	f := &sftpFiles{Client: c, sess: sess, owner: s.opt.Owner}
	f.stop = context.AfterFunc(ctx, func() { sess.Close() })
	return f, nil
}

func (f *sftpFiles) Close() {
	f.once.Do(func() {
		f.stop()
		_ = f.Client.Close()
		f.sess.leave()
		_ = f.Client.Wait()
	})
}

// Real returns the absolute path of dir, or ENOTDIR for anything else.
func (f *sftpFiles) Real(_ context.Context, dir string) (string, error) {
	fi, err := f.Stat(dir)
	if err != nil {
		return "", err
	}
	if !fi.IsDir() {
		return "", syscall.ENOTDIR
	}
	return f.RealPath(dir)
}

func (f *sftpFiles) Mkdir(_ context.Context, dir string) error {
	err := f.Client.Mkdir(dir)
	if err == nil {
		f.made.Store(dir, true)
	}
	return err
}

// replace renames atomically where the server can; else what was there before goes first.
func (f *sftpFiles) replace(temp, name string) error {
	if _, new := f.made.Load(path.Dir(name)); !new {
		if fi, err := f.Lstat(name); err == nil {
			if err := tree.Special(fi.Mode()); err != nil {
				return err
			}
		}
	}
	if _, ok := f.HasExtension("posix-rename@openssh.com"); ok {
		return f.PosixRename(temp, name)
	}
	if fi, err := f.Lstat(name); err == nil && !fi.IsDir() {
		_ = f.Remove(name)
	}
	return f.Rename(temp, name)
}

// Write writes the file to temp and then renames it to name. At any error temp is removed.
func (f *sftpFiles) Write(ctx context.Context, temp, name string, h *tar.Header, body io.Reader) error {
	out, err := f.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	err = out.Chmod(h.FileInfo().Mode().Perm()) // before there is anything to read
	if err == nil {
		err = writeFar(ctx, out, body, h.Size)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.finish(temp, h, h.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = f.replace(temp, name)
	}
	if err != nil {
		_ = f.Remove(temp)
	}
	return err
}

// finish sets owner, mode and time, in this order; without mode, the permissions are there already
// and setuid and its like not wanted.
func (f *sftpFiles) finish(name string, h *tar.Header, mode bool) error {
	theirs := false
	if f.owner {
		err := f.Chown(name, h.Uid, h.Gid)
		if theirs = err == nil; err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	if mode || f.owner {
		m := tree.ModeFor(h, theirs)
		if err := f.Chmod(name, m); err != nil && f.Chmod(name, m.Perm()) != nil {
			return err
		}
	}
	return f.Chtimes(name, time.Now(), h.ModTime)
}

func (f *sftpFiles) Attributes(_ context.Context, dir string, h *tar.Header) error {
	return f.finish(dir, h, true)
}

// Special makes a symbolic or hard link as temp and renames it to name. SFTP has no request for
// named pipes.
func (f *sftpFiles) Special(_ context.Context, temp, name string, h *tar.Header) error {
	var err error
	switch h.Typeflag {
	case tar.TypeSymlink:
		err = f.Symlink(h.Linkname, temp)
	case tar.TypeLink:
		err = f.Link(h.Linkname, temp)
	default:
		return errors.New("left out: SFTP makes no named pipes")
	}
	if err != nil {
		return err
	}
	if err := f.replace(temp, name); err != nil {
		_ = f.Remove(temp)
		return err
	}
	if h.Typeflag == tar.TypeLink {
		_ = f.Remove(temp) // renaming one name of a file to another of the same file does nothing
	}
	return nil
}

// chunk is the grain of holes: a run of zeros that fills one is not written.
const chunk = 32 << 10

var zeros [chunk]byte

// farChunks is how many pieces of a file are under way at once: 2 MiB, as much as a session's
// window.
const farChunks = 64

// writeFar copies size bytes to a new file, many pieces at once, and leaves holes where they are
// zero.
func writeFar(ctx context.Context, f *sftp.File, r io.Reader, size int64) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(farChunks)
	free := sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}
	var broken error
	hole := size == 0
	at := int64(0)
	for at < size && gctx.Err() == nil {
		buf := free.Get().(*[]byte)
		b := (*buf)[:min(size-at, chunk)]
		if _, err := io.ReadFull(r, b); err != nil {
			broken = &tree.ReadError{Err: err}
			break
		}
		if hole = bytes.Equal(b, zeros[:len(b)]); hole {
			free.Put(buf)
		} else {
			off := at
			g.Go(func() error {
				defer free.Put(buf)
				_, err := f.WriteAt(b, off)
				return err
			})
		}
		at += int64(len(b))
	}
	err := g.Wait()
	if broken != nil {
		return broken
	}
	if err == nil && at < size {
		err = ctx.Err() // nothing failed: the caller ended it
	}
	if err == nil && hole && size > 0 {
		err = f.Truncate(size)
	}
	return err
}
