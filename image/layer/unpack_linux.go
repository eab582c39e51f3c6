package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The names by which a layer's archive says what it takes away from the layers below.
const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh." // another union file system's own files
	whiteoutOpaque = ".wh..wh..opq"
	opaqueXattr    = "user.overlay.opaque"
)

// biggestFile bounds what an entry may claim to hold: a hole costs its maker nothing and us the
// time to walk through it.
const biggestFile = 1 << 40

// Unpack makes the files of a layer's archive in dir, which must be ours alone. Names are taken as
// within it, whatever links they lead through; ".." is refused. What cannot be made ends it with an
// error: a layer is whole or not at all.
func Unpack(ctx context.Context, dir string, stream io.Reader, owners bool, m *Meter) (Unpacked, error) {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return Unpacked{}, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { _ = unix.Close(root) }()
	u := &unpacker{
		meter: m, root: root, owners: owners, last: -1, dirs: make(map[string]*tar.Header),
		implied: map[string]bool{".": true}, buf: make([]byte, 256<<10),
	}
	defer u.forget()
	tr := tar.NewReader(stream)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return u.out, StreamError(err)
		}
		if err := ctx.Err(); err != nil {
			return u.out, err
		}
		if err := u.entry(ctx, h, tr); err != nil {
			var content *ContentError
			if errors.As(err, &content) {
				return u.out, Contentf("layer entry %q: %w", h.Name, err)
			}
			return u.out, fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
	if err := u.finish(); err != nil {
		return u.out, err
	}
	u.out.Implied = slices.Sorted(maps.Keys(u.implied))
	return u.out, nil
}

type unpacker struct {
	meter   *Meter
	root    int
	owners  bool
	implied map[string]bool // directories of which the archive has said nothing
	// by name, as remembered makes them; their attributes are set when nothing more comes into them
	dirs  map[string]*tar.Header
	order []string
	kept  int // bytes of implied, dirs and order
	buf   []byte
	out   Unpacked

	lastDir string // the directory that last is open on
	last    int    // -1: none
}

// Inside is how names are resolved: links lead where they would with the layer as the root, and
// never out of it.
const Inside = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

func (u *unpacker) forget() {
	if u.last >= 0 {
		_ = unix.Close(u.last)
		u.last = -1
	}
}

// parent returns the directory called dir, kept open until the next one is asked for: entries come
// a directory at a time.
func (u *unpacker) parent(dir string) (int, error) {
	if u.last >= 0 && u.lastDir == dir {
		return u.last, nil
	}
	fd, err := u.openDir(dir)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		fd, err = u.makeDirs(dir)
	}
	if err != nil {
		return -1, err
	}
	u.forget()
	u.last, u.lastDir = fd, dir
	return fd, nil
}

func (u *unpacker) openDir(dir string) (int, error) {
	fd, err := unix.Openat2(u.root, dir, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: Inside})
	if errors.Is(err, unix.ENOSYS) {
		return -1, errors.New("this kernel has no openat2, without which a layer cannot be unpacked safely: Linux 5.8 is needed")
	}
	return fd, err
}

// makeDirs makes a directory of which the archive has not said anything, as some makers of images
// leave them out.
func (u *unpacker) makeDirs(dir string) (int, error) {
	done := "."
	for _, part := range strings.Split(dir, "/") {
		next := path.Join(done, part)
		fd, err := u.openDir(next)
		if err == nil {
			_ = unix.Close(fd)
			done = next
			continue
		}
		if err := u.mkdirIn(done, part, nil); err != nil {
			return -1, err
		}
		done = next
	}
	return u.openDir(dir)
}

// mkdirIn makes one directory; h is its entry, or nil. One that is there already stays, with what
// is in it.
func (u *unpacker) mkdirIn(dir, base string, h *tar.Header) error {
	name := path.Join(dir, base)
	at, err := u.parent(dir)
	if err != nil {
		return err
	}
	err = unix.Mkdirat(at, base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		var st unix.Stat_t
		if err := unix.Fstatat(at, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		hidden := isWhiteout(&st)
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			if err = nil; h == nil {
				return nil
			}
		case h == nil && !hidden:
			return Contentf("%q is no directory, and the archive has files in it", name)
		default:
			if err := unix.Unlinkat(at, base, 0); err != nil {
				return err
			}
			u.forgetBelow(name)
			if err = unix.Mkdirat(at, base, 0o700); err == nil && hidden {
				err = u.makeOpaque(at, base)
			}
		}
	}
	if err != nil {
		return err
	}
	if h == nil {
		if err := u.keep(len(name) + perName); err != nil {
			return err
		}
		u.implied[name] = true
		return unix.Fchmodat(at, base, 0o755, 0) // made by us a moment ago, so no link
	}
	if _, known := u.dirs[name]; !known {
		u.out.Files++
	}
	return u.remember(name, h)
}

// MostKept bounds what is kept in memory of a layer's directories until it is whole, in bytes: a
// million of them have less. It is smaller in tests alone.
var MostKept = 256 << 20

// perName is counted for a name beside its own bytes.
const perName = 64

// keep counts so many bytes more, or fewer.
func (u *unpacker) keep(n int) error {
	if u.kept += n; u.kept > MostKept {
		return Contentf("the names and attributes of the directories up to here are more than %d bytes", MostKept)
	}
	return nil
}

// remember keeps what finish gives a directory, and no more of its entry: that may be large.
func (u *unpacker) remember(name string, h *tar.Header) error {
	slim := &tar.Header{Uid: h.Uid, Gid: h.Gid, Mode: h.Mode, ModTime: h.ModTime}
	for key, value := range h.PAXRecords {
		if attr, ok := strings.CutPrefix(key, paxXattr); ok && wantedAttr(attr, u.owners) {
			if slim.PAXRecords == nil {
				slim.PAXRecords = map[string]string{}
			}
			slim.PAXRecords[strings.Clone(key)] = strings.Clone(value)
		}
	}
	n := sizeKept(slim)
	if old, known := u.dirs[name]; known {
		n -= sizeKept(old)
	} else {
		u.order = append(u.order, name)
		n += len(name) + perName
	}
	if u.implied[name] {
		n -= len(name) + perName
		delete(u.implied, name)
	}
	u.dirs[name] = slim
	return u.keep(n)
}

// sizeKept is how many bytes a directory's attributes are counted for.
func sizeKept(h *tar.Header) (n int) {
	for key, value := range h.PAXRecords {
		n += len(key) + len(value) + perName
	}
	return n
}

func isWhiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

// entry makes one entry.
func (u *unpacker) entry(ctx context.Context, h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if err := u.meter.entry(h); err != nil {
		return err
	}
	name, err := within(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		if h.Typeflag != tar.TypeDir {
			return Contentf("it would replace the root directory itself")
		}
		return u.remember(".", h)
	}
	dir, base := path.Dir(name), path.Base(name)
	if strings.Contains("/"+name, "/"+whiteoutMeta) && base != whiteoutOpaque {
		return nil
	}
	if strings.HasPrefix(base, whiteoutPrefix) {
		return u.whiteout(dir, base)
	}
	if h.Typeflag == tar.TypeDir {
		return u.mkdirIn(dir, base, h)
	}
	at, err := u.parent(dir)
	if err != nil {
		return err
	}
	u.out.Files++
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return u.file(ctx, at, name, base, h, body)
	case tar.TypeSymlink:
		if h.Linkname == "" {
			return Contentf("a link to nothing")
		}
		err := u.afresh(at, name, base, func() error { return unix.Symlinkat(h.Linkname, at, base) })
		if err != nil {
			return err
		}
		if err := u.own(at, base, h); err != nil {
			return err
		}
		return u.setTime(at, base, h)
	case tar.TypeLink:
		return u.link(at, name, base, h)
	case tar.TypeFifo:
		if err := u.afresh(at, name, base, func() error { return unix.Mkfifoat(at, base, 0o600) }); err != nil {
			return err
		}
		if err := u.own(at, base, h); err != nil {
			return err
		}
		if err := unix.Fchmodat(at, base, uint32(h.Mode)&0o7777, 0); err != nil {
			return err
		}
		return u.setTime(at, base, h)
	case tar.TypeChar, tar.TypeBlock:
		u.out.Files--
		u.out.Devices++
		return nil
	}
	return Contentf("an entry of the unknown kind %q", h.Typeflag)
}

// within cleans the name of an entry. As the archives of images are made for the root of a file
// system, a leading slash means that root.
func within(name string) (string, error) {
	if strings.ContainsRune(name, 0) {
		return "", Contentf("a name with a NUL in it")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", Contentf("it would land outside of the layer")
		}
	}
	name = path.Clean("/" + name)[1:]
	if name == "" {
		return ".", nil
	}
	return name, nil
}

// afresh calls f, which makes base new, and again after removing what has that name already.
func (u *unpacker) afresh(at int, name, base string, f func() error) error {
	err := f()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := removeAt(at, base); err != nil {
		return err
	}
	u.forgetBelow(name)
	return f()
}

// forgetBelow drops what is known of a directory that was there under a name and is no more.
func (u *unpacker) forgetBelow(name string) {
	if _, known := u.dirs[name]; !known {
		return
	}
	for dir, h := range u.dirs {
		if dir == name || strings.HasPrefix(dir, name+"/") {
			u.kept -= sizeKept(h)
			delete(u.dirs, dir) // what order still has of it is passed over
		}
	}
}

// file unpacks a regular file, in place of what has the name. Attributes and times follow the
// content.
func (u *unpacker) file(ctx context.Context, at int, name, base string, h *tar.Header, body io.Reader) error {
	if h.Size > biggestFile {
		return Contentf("it claims to be of %d bytes", h.Size)
	}
	fd := -1
	err := u.afresh(at, name, base, func() (err error) {
		fd, err = unix.Openat(at, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := u.fill(ctx, fd, body, h.Size); err != nil {
		return err
	}
	u.out.Size += h.Size
	if err := u.attributes(fd, h); err != nil {
		return err
	}
	return u.setTime(at, base, h)
}

// link makes another name for a file of this layer.
func (u *unpacker) link(at int, name, base string, h *tar.Header) error {
	old, err := within(h.Linkname)
	if err != nil {
		return err
	}
	from, err := u.openDir(path.Dir(old))
	if err != nil {
		return Contentf("a hard link to %q, which is not in this layer before it", h.Linkname)
	}
	defer func() { _ = unix.Close(from) }()
	var st, own unix.Stat_t
	if err := unix.Fstatat(from, path.Base(old), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || isWhiteout(&st) {
		return Contentf("a hard link to %q, which is not in this layer before it", h.Linkname)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return Contentf("a hard link to the directory %q", h.Linkname)
	}
	if err := unix.Fstatat(at, base, &own, unix.AT_SYMLINK_NOFOLLOW); err == nil && own.Ino == st.Ino && own.Dev == st.Dev {
		return nil // it is that file already
	}
	return u.afresh(at, name, base, func() error { return unix.Linkat(from, path.Base(old), at, base, 0) })
}

// whiteout makes what hides a name, or all names of a directory, of the layers below. It says
// nothing of what this layer itself has there.
func (u *unpacker) whiteout(dir, base string) error {
	at, err := u.parent(dir)
	if err != nil {
		return err
	}
	if base == whiteoutOpaque {
		return u.makeOpaque(at, ".")
	}
	hidden := strings.TrimPrefix(base, whiteoutPrefix)
	if hidden == "" || hidden == "." || hidden == ".." {
		return Contentf("it takes away nothing that could be named")
	}
	u.out.Files++
	err = MakeWhiteout(at, hidden)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(at, hidden, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return u.makeOpaque(at, hidden)
	}
	return nil
}

// makeOpaque marks a directory as one that hides what the layers below have in it.
func (u *unpacker) makeOpaque(at int, base string) error {
	fd, err := unix.Openat(at, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return SetOpaque(fd)
}
