package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options say how a tar stream becomes files.
type Options struct {
	// set owners by number, where permitted; what stays ours loses setuid and setgid, which were
	// meant for another owner
	Owner bool
}

// Unpack makes the files of a tar stream in r. No entry lands outside of it: names that are
// absolute or hold "..", names that lead through a link out of r, and hard links to what is
// outside, are errors and are not written. So is an entry in the place of a device, a named pipe or
// a socket: see Special. Every file appears by rename, so that nobody sees a half of one;
// directories get their times at the end. It goes on after an entry that cannot be made, and the
// error names each one. A broken stream or a full disk ends it. It does not read beyond the end of
// the archive, and ctx cannot interrupt a Read of the stream.
func Unpack(ctx context.Context, r *os.Root, stream io.Reader, opt Options) error {
	u := &unpacker{root: r, opt: opt}
	defer u.leave()
	tr := tar.NewReader(whileAlive(ctx, stream))
	var broken error
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			broken = err
			break
		}
		if err := u.entry(h, whileAlive(ctx, tr)); err != nil {
			err = &FileError{Path: h.Name, Err: err}
			if fatal(err) {
				broken = err
				break
			}
			u.failed.Add(err)
		}
	}
	u.finishDirs()
	if broken != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		u.failed.Add(broken)
	}
	return u.failed.Err()
}

// whileAlive reads r until ctx ends. Not the stream alone is read so: a hole of an exabyte takes
// none of it.
func whileAlive(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(b)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// fatal reports whether the next entry would fail too.
func fatal(err error) bool {
	var re *ReadError
	if errors.As(err, &re) {
		return true
	}
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// ErrOutside refuses an entry of a stream.
var ErrOutside = errors.New("would land outside of the directory")

type unpacker struct {
	root   *os.Root
	opt    Options
	dirs   []*tar.Header // modes and times are set when nothing more comes into them
	failed Failures

	dir  string   // the directory of the last entry
	open *os.Root // and that opened; nil: none
}

// entry makes one entry.
func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	name, err := Within(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeDir:
		return u.mkdir(name, h)
	case tar.TypeReg, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo, tar.TypeGNUSparse, tar.TypeCont:
	default:
		return errors.New("left out: sockets and devices are not copied")
	}
	if name == "." {
		return ErrOutside // it would replace the directory itself
	}
	dir, err := u.enter(path.Dir(name))
	if err != nil {
		return Cause(err)
	}
	base := path.Base(name)
	if fi, err := dir.Lstat(base); err == nil {
		if h.Typeflag == tar.TypeFifo && fi.Mode().Type() == fs.ModeNamedPipe {
			return u.attributes(dir, base, h) // it is there already, and somebody may wait at it
		}
		if err := Special(fi.Mode()); err != nil {
			return err
		}
	}
	// the runtime's own: crypto/rand would cost the agent a fifth of a millisecond at its start
	temp := ".hostler-" + strconv.FormatUint(rand.Uint64(), 36)
	if err := u.make(dir, temp, name, h, body); err != nil {
		_ = dir.Remove(temp)
		var re *ReadError
		if errors.As(err, &re) {
			return err
		}
		return Cause(err)
	}
	if err := dir.Rename(temp, base); err != nil {
		_ = dir.Remove(temp)
		return Cause(err)
	}
	if h.Typeflag == tar.TypeLink {
		_ = dir.Remove(temp) // renaming one name of a file to another of the same file does nothing
	}
	return nil
}

// make makes the entry under a temporary name in dir.
func (u *unpacker) make(dir *os.Root, temp, name string, h *tar.Header, body io.Reader) error {
	switch h.Typeflag {
	case tar.TypeLink:
		old, err := Within(h.Linkname)
		if err != nil {
			return err
		}
		if fi, err := u.root.Lstat(old); err == nil && fi.IsDir() {
			return syscall.EISDIR
		}
		return u.root.Link(old, path.Join(path.Dir(name), temp))
	case tar.TypeSymlink:
		if err := dir.Symlink(h.Linkname, temp); err != nil {
			return err
		}
		if _, err := u.own(dir, temp, h); err != nil {
			return err
		}
		return at(dir, func(d *os.File) error { return setLinkTime(d, temp, h.ModTime) })
	case tar.TypeFifo:
		if err := at(dir, func(d *os.File) error { return makeFifo(d, temp) }); err != nil {
			return err
		}
		return u.attributes(dir, temp, h)
	}
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = writeHoles(f, body, h.Size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return u.attributes(dir, temp, h)
}

// at gives f the directory as an open file, for the few calls that os.Root does not have.
func at(dir *os.Root, f func(*os.File) error) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return f(d)
}

// mkdir makes a directory that the unpacker can write to, or takes one that is there. Its mode
// and time are set at the end, from u.dirs.
func (u *unpacker) mkdir(name string, h *tar.Header) error {
	u.leave()
	if err := u.root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return Cause(err)
	}
	err := u.root.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) || name == "." {
		fi, serr := u.root.Stat(name) // a link to a directory inside is as good as one
		if serr != nil {
			return Cause(serr)
		}
		if !fi.IsDir() {
			return syscall.ENOTDIR
		}
		err = nil
		if fi.Mode().Perm()&0o700 != 0o700 {
			// its own mode comes back, or the entry's comes, at the end
			_ = u.root.Chmod(name, fi.Mode().Perm()|0o700)
		}
	}
	if err != nil {
		return Cause(err)
	}
	u.dirs = append(u.dirs, &tar.Header{Name: name, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid, ModTime: h.ModTime})
	return nil
}

// finishDirs gives directories what would have been in the way, or would have changed, while they
// were filled: inner ones first.
func (u *unpacker) finishDirs() {
	u.leave()
	for _, h := range slices.Backward(u.dirs) {
		fi, err := u.root.Stat(h.Name)
		if err == nil && !fi.IsDir() {
			continue // replaced by a later entry
		}
		if err == nil {
			err = u.attributes(u.root, h.Name, h)
		}
		if err != nil {
			u.failed.Add(&FileError{Path: h.Name, Err: Cause(err)})
		}
	}
}

// attributes sets owner, mode and time, in this order: a new owner takes the setuid bit away, a new
// mode changes no time.
func (u *unpacker) attributes(dir *os.Root, name string, h *tar.Header) error {
	theirs, err := u.own(dir, name, h)
	if err != nil {
		return err
	}
	mode := ModeFor(h, theirs)
	err = dir.Chmod(name, mode)
	if errors.Is(err, fs.ErrPermission) {
		err = dir.Chmod(name, mode.Perm())
	}
	if err != nil {
		return err
	}
	return dir.Chtimes(name, time.Time{}, h.ModTime)
}

// ModeFor is the mode that a file gets. Setuid and setgid mean "run as my owner". A file that did
// not get its owner does not get them: every user that may start it would act as us.
func ModeFor(h *tar.Header, theirs bool) fs.FileMode {
	mode := h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	if !theirs {
		mode &^= fs.ModeSetuid | fs.ModeSetgid
	}
	return mode
}

// own gives the file its owner where that is asked for and permitted, and reports whether it has
// it.
func (u *unpacker) own(dir *os.Root, name string, h *tar.Header) (theirs bool, err error) {
	if !u.opt.Owner {
		return false, nil
	}
	err = dir.Lchown(name, h.Uid, h.Gid)
	// EINVAL: a user that our user namespace does not know
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) {
		return false, nil
	}
	return err == nil, err
}

// enter opens the directory of an entry, made if it is missing; the last one is kept open, as
// entries come a directory at a time.
func (u *unpacker) enter(dir string) (*os.Root, error) {
	if u.open != nil && u.dir == dir {
		return u.open, nil
	}
	u.leave()
	d, err := OpenDir(u.root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = u.root.MkdirAll(dir, 0o777); err == nil {
			d, err = OpenDir(u.root, dir)
		}
	}
	if err != nil {
		return nil, err
	}
	u.dir, u.open = dir, d
	return d, nil
}

// OpenDir is r.OpenRoot for a name that somebody else has a hand in: OpenRoot waits for ever on a
// fifo.
func OpenDir(r *os.Root, name string) (*os.Root, error) {
	f, err := r.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	// The directory that was opened, whatever has its name by now. Without /proc there is a moment
	// in between.
	if d, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err == nil {
		return d, nil
	}
	return r.OpenRoot(name)
}

func (u *unpacker) leave() {
	if u.open != nil {
		_ = u.open.Close()
		u.open = nil
	}
}

// Within cleans the name of an entry, and refuses one that is meant to lead outside.
func Within(name string) (string, error) {
	if name == "" || path.IsAbs(name) || slices.Contains(strings.Split(name, "/"), "..") {
		return "", ErrOutside
	}
	return path.Clean(name), nil
}
