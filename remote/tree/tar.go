package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

// Pack writes the file or tree name, a base name in r, to w as a tar stream, whose first entry is
// called name. Links are not followed; hard links within the tree, holes, nanoseconds and names of
// any bytes are kept. What cannot be read, and what a stream cannot hold (sockets, devices), is
// left out, and said in the error at the end, of a stream that is whole otherwise. A file that
// changes its size meanwhile is cut or padded with zeros, and said too. Where name does not exist
// the error is fs.ErrNotExist, and nothing is written.
func Pack(ctx context.Context, r *os.Root, name string, w io.Writer) error {
	fi, err := r.Lstat(name)
	if err != nil {
		return &FileError{Path: name, Err: Cause(err)}
	}
	p := &packer{ctx: ctx, w: w, tw: tar.NewWriter(w), links: make(map[inode]string), buf: make([]byte, 64<<10)}
	if err := p.add(r, name, name, fi); err != nil {
		return err
	}
	if err := p.tw.Close(); err != nil {
		return err
	}
	return p.failed.Err()
}

// inode names a file that may have several names.
type inode struct{ dev, ino uint64 }

type packer struct {
	ctx    context.Context // of this one call
	w      io.Writer
	tw     *tar.Writer
	links  map[inode]string
	buf    []byte
	failed Failures
}

// add writes the entry of what is base in dir, and all below it. Its error means that the stream is
// broken; the others are kept.
func (p *packer) add(dir *os.Root, base, name string, fi fs.FileInfo) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: Mode(fi.Mode()), ModTime: fi.ModTime(), Format: tar.FormatPAX}
	st, _ := fi.Sys().(*syscall.Stat_t)
	if st != nil {
		h.Uid, h.Gid = int(st.Uid), int(st.Gid)
	}
	switch fi.Mode().Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		if err := p.tw.WriteHeader(h); err != nil {
			return p.headerFailed(name, err)
		}
		return p.addBelow(dir, base, name)
	case fs.ModeSymlink:
		target, err := dir.Readlink(base)
		if err != nil {
			p.fail(name, err)
			return nil
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case fs.ModeNamedPipe:
		h.Typeflag = tar.TypeFifo
	case 0:
		if st != nil && st.Nlink > 1 {
			id := inode{uint64(st.Dev), st.Ino}
			if first, ok := p.links[id]; ok {
				h.Typeflag, h.Linkname = tar.TypeLink, first
				break
			}
			// Only one that could be opened becomes the first: a link to what is not in the stream
			// would be of no use.
			return p.addFile(dir, base, h, func() { p.links[id] = name })
		}
		return p.addFile(dir, base, h, func() {})
	default:
		p.fail(name, errors.New("left out: sockets and devices are not copied"))
		return nil
	}
	if err := p.tw.WriteHeader(h); err != nil {
		return p.headerFailed(name, err)
	}
	return nil
}

// headerFailed tells an entry that the format cannot hold from a stream that cannot be written.
func (p *packer) headerFailed(name string, err error) error {
	if errors.Is(err, tar.ErrHeader) {
		p.fail(name, err)
		return nil
	}
	return err
}

// addBelow adds what is in a directory. It holds one directory open for each level, and a thousand
// names at a time.
func (p *packer) addBelow(parent *os.Root, base, name string) error {
	dir, err := OpenDir(parent, base)
	if err != nil {
		p.fail(name, err)
		return nil
	}
	defer func() { _ = dir.Close() }()
	f, err := dir.Open(".")
	if err != nil {
		p.fail(name, err)
		return nil
	}
	defer func() { _ = f.Close() }()
	for {
		names, err := f.Readdirnames(1024)
		for _, n := range names {
			fi, err := dir.Lstat(n)
			if errors.Is(err, fs.ErrNotExist) {
				continue // gone meanwhile
			}
			if err != nil {
				p.fail(path.Join(name, n), err)
				continue
			}
			below := name + "/" + n
			if name == "." {
				below = n
			}
			if err := p.add(dir, n, below, fi); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			p.fail(name, err)
			return nil
		}
	}
}

// addFile writes a regular file. opened is called once it is sure to be in the stream.
func (p *packer) addFile(dir *os.Root, base string, h *tar.Header, opened func()) error {
	// Not blocking: what was a file a moment ago may be a fifo now.
	f, err := dir.OpenFile(base, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		p.fail(h.Name, err)
		return nil
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("was replaced while it was read")
	}
	if err != nil {
		p.fail(h.Name, err)
		return nil
	}
	opened()
	h.Typeflag, h.Size, h.ModTime = tar.TypeReg, fi.Size(), fi.ModTime()
	if parts := dataOf(f, fi); parts != nil {
		return p.addSparse(f, h, parts)
	}
	if err := p.tw.WriteHeader(h); err != nil {
		return p.headerFailed(h.Name, err)
	}
	if err := p.copyPart(p.tw, f, h.Name, h.Size); err != nil {
		return err
	}
	if n, _ := f.Read(p.buf[:1]); n > 0 {
		p.fail(h.Name, errors.New("grew while it was read; what was added is left out"))
	}
	return nil
}

// copyPart writes exactly n bytes of f to w, with zeros for what is no longer there.
func (p *packer) copyPart(w io.Writer, f io.Reader, name string, n int64) error {
	short := false
	for n > 0 {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		b := p.buf[:min(n, int64(len(p.buf)))]
		if short {
			clear(b)
		} else if k, err := io.ReadFull(f, b); err != nil {
			short = true
			clear(b[k:])
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = errors.New("shrank while it was read; the rest are zeros")
			}
			p.fail(name, err)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		n -= int64(len(b))
	}
	return nil
}

func (p *packer) fail(name string, err error) {
	p.failed.Add(&FileError{Path: name, Err: Cause(err)})
}

// Mode returns a mode as tar and chmod have it.
func Mode(m fs.FileMode) int64 {
	n := int64(m.Perm())
	for bit, v := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			n |= v
		}
	}
	return n
}

// Failures collects errors of single files, of a tree that may have millions: the first few, and
// how many more there were.
type Failures struct {
	errs []error
	more int
}

const mostFailures = 10

// Add keeps one error, or counts it where there are many already.
func (f *Failures) Add(err error) {
	if len(f.errs) == mostFailures {
		f.more++
		return
	}
	f.errs = append(f.errs, err)
}

// Err returns all of them as one; nil: there were none.
func (f *Failures) Err() error {
	if f.more > 0 {
		return errors.Join(append(f.errs[:len(f.errs):len(f.errs)], fmt.Errorf("and %d more", f.more))...)
	}
	return errors.Join(f.errs...)
}

// Cause takes the file names off an error that is about to get a better one.
func Cause(err error) error {
	for {
		var pe *fs.PathError
		var le *os.LinkError
		var se *os.SyscallError
		switch {
		case errors.As(err, &pe):
			err = pe.Err
		case errors.As(err, &le):
			err = le.Err
		case errors.As(err, &se):
			err = se.Err
		default:
			return err
		}
	}
}

// paxTime returns seconds since 1970 as PAX writes them, with nanoseconds.
func paxTime(t time.Time) string {
	s, n := t.Unix(), t.Nanosecond()
	sign := ""
	if s < 0 && n > 0 {
		s, n = s+1, 1e9-n
		if s == 0 {
			sign = "-"
		}
	}
	return fmt.Sprintf("%s%d.%09d", sign, s, n)
}
