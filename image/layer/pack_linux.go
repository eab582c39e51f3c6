package layer

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Pack writes a layer's directory, in the form that overlay takes, as the archive of a layer: what
// it removes and hides goes by the names that OCI gives these. Without owners all files are root's.
// Sockets and device nodes are left out; so is what another file system has mounted below, and its
// directory stays. The same tree gives the same bytes. It is an error if a file changes meanwhile.
func Pack(ctx context.Context, dir string, owners bool, w io.Writer) error {
	return PackAs(ctx, dir, Packing{Owners: owners}, w)
}

// Packing says how a directory becomes an archive.
type Packing struct {
	Owners bool // files keep their owners; else all are root's
	// the host's user, and group, that is root in the archive; those after it are the ones after
	// root
	Users int
	// names that stay behind, directories with all that is in them; nil: none
	Skip func(string) bool
}

// PackAs is pack with more to say.
func PackAs(ctx context.Context, dir string, as Packing, w io.Writer) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	p := &packer{ctx: ctx, tar: tar.NewWriter(w), Packing: as, dev: st.Dev, linked: map[inode]string{}, buf: make([]byte, 256<<10)}
	if err := p.dir(fd, ".", &st); err != nil {
		return err
	}
	return p.tar.Close()
}

type packer struct {
	Packing
	ctx    context.Context
	tar    *tar.Writer
	dev    uint64
	linked map[inode]string // the first name of what has several
	buf    []byte
}

// inode is a file. The tree may be an overlay's, whose files are of several devices.
type inode struct{ dev, ino uint64 }

// dir writes a directory that is open, and closes it.
func (p *packer) dir(fd int, name string, st *unix.Stat_t) error {
	d := os.NewFile(uintptr(fd), name)
	defer func() { _ = d.Close() }()
	h := p.header(name+"/", tar.TypeDir, st)
	if err := p.attributes(fd, h); err != nil {
		return inPacking(name, err)
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return inPacking(name, err)
	}
	if st.Dev != p.dev {
		return nil
	}
	if isOpaque(fd) {
		if err := p.tar.WriteHeader(&tar.Header{
			Name: path.Join(name, whiteoutOpaque), Typeflag: tar.TypeReg, Mode: 0o600, Format: tar.FormatPAX,
		}); err != nil {
			return inPacking(name, err)
		}
	}
	names, err := d.Readdirnames(-1)
	if err != nil {
		return inPacking(name, err)
	}
	slices.Sort(names)
	for _, base := range names {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		inner := path.Join(name, base)
		if p.Skip != nil && p.Skip(inner) {
			continue
		}
		if err := p.entry(fd, base, inner); err != nil {
			return err
		}
	}
	return nil
}

// entry writes one entry of a directory, and all below it.
func (p *packer) entry(at int, base, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(at, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return inPacking(name, err)
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFDIR && st.Nlink > 1 && !isWhiteout(&st) {
		file := inode{uint64(st.Dev), st.Ino}
		if first, ok := p.linked[file]; ok {
			h := p.header(name, tar.TypeLink, &st)
			h.Linkname = first
			return inPacking(name, p.tar.WriteHeader(h))
		}
		p.linked[file] = name
	}
	switch kind {
	case unix.S_IFDIR, unix.S_IFREG:
		fd, err := unix.Openat(at, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return inPacking(name, err)
		}
		if kind == unix.S_IFDIR {
			return p.dir(fd, name, &st)
		}
		return p.file(fd, name, &st)
	case unix.S_IFLNK:
		to := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(at, base, to)
		if err != nil {
			return inPacking(name, err)
		}
		h := p.header(name, tar.TypeSymlink, &st)
		h.Linkname = string(to[:n])
		return inPacking(name, p.tar.WriteHeader(h))
	case unix.S_IFIFO:
		return inPacking(name, p.tar.WriteHeader(p.header(name, tar.TypeFifo, &st)))
	}
	if isWhiteout(&st) {
		return inPacking(
			name,
			p.tar.WriteHeader(&tar.Header{
				Name: path.Join(path.Dir(name), whiteoutPrefix+base), Typeflag: tar.TypeReg, Mode: 0o600,
				Format: tar.FormatPAX,
			}),
		)
	}
	return nil
}

// file writes a regular file that is open, and closes it.
func (p *packer) file(fd int, name string, st *unix.Stat_t) error {
	f := os.NewFile(uintptr(fd), name)
	defer func() { _ = f.Close() }()
	h := p.header(name, tar.TypeReg, st)
	h.Size = st.Size
	if err := p.attributes(fd, h); err != nil {
		return inPacking(name, err)
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return inPacking(name, err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{p.tar}, &io.LimitedReader{R: contextReader{p.ctx, f}, N: st.Size}, p.buf)
	if err == nil && n < st.Size {
		err = errors.New("it was changed while it was read")
	}
	return inPacking(name, err)
}

func (p *packer) header(name string, kind byte, st *unix.Stat_t) *tar.Header {
	h := &tar.Header{Name: name, Typeflag: kind, Mode: int64(st.Mode & 0o7777), ModTime: time.Unix(st.Mtim.Unix()), Format: tar.FormatPAX}
	if p.Owners {
		h.Uid, h.Gid = p.inside(st.Uid), p.inside(st.Gid)
	}
	return h
}

// attributes puts the extended attributes of an open file into its header: those that unpack would
// take.
func (p *packer) attributes(fd int, h *tar.Header) error {
	list := make([]byte, 64<<10) // the most that the kernel has
	n, err := unix.Flistxattr(fd, list)
	if errors.Is(err, unix.EOPNOTSUPP) || n == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for attr := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if !wantedAttr(attr, p.Owners) {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Fgetxattr(fd, attr, value)
		if err != nil {
			return fmt.Errorf("read %s: %w", attr, err)
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxXattr+attr] = string(p.translate(attr, value[:n]))
	}
	return nil
}

// nobody is the archive's owner of files that none of its users owns, by the kernel's number.
const nobody = 65534

// inside is a user's number in the archive.
func (p Packing) inside(host uint32) int {
	if n := int(host) - p.Users; n >= 0 {
		return n
	}
	return nobody
}

// translate turns the host's user ids in an extended attribute into the archive's. File
// capabilities that count for one user name space alone become everyone's, and entries of an access
// list get the archive's numbers.
func (p Packing) translate(attr string, value []byte) []byte {
	const revision3, revision2, rest = 0x03000000, 0x02000000, 0x00ffffff
	switch {
	case attr == "security.capability" && len(value) == 24:
		if magic := binary.LittleEndian.Uint32(value); magic&^rest == revision3 {
			value = value[:20]
			binary.LittleEndian.PutUint32(value, magic&rest|revision2)
		}
	case strings.HasPrefix(attr, "system.posix_acl_") && p.Users != 0:
		const header, entry, user, group = 4, 8, 0x02, 0x08
		for at := header; at+entry <= len(value); at += entry {
			if tag := binary.LittleEndian.Uint16(value[at:]); tag == user || tag == group {
				binary.LittleEndian.PutUint32(value[at+4:], uint32(p.inside(binary.LittleEndian.Uint32(value[at+4:]))))
			}
		}
	}
	return value
}

func inPacking(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pack %q: %w", name, err)
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
