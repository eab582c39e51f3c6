package files

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/tree"
)

// Files are the few acts of which unpacking on the far side is made; all may be called at once.
// Files and links are made under a temporary name, so that what is at path before is replaced by
// rename; what tree.Special names is not, and is an error.
type Files interface {
	// Real returns the directory that a path leads to, without links; fs.ErrNotExist where there is
	// none.
	Real(ctx context.Context, dir string) (string, error)
	Mkdir(ctx context.Context, dir string) error
	Write(ctx context.Context, temp, name string, h *tar.Header, body io.Reader) error
	// TypeSymlink, TypeLink (h.Linkname is then a path there), TypeFifo
	Special(ctx context.Context, temp, name string, h *tar.Header) error
	Attributes(ctx context.Context, dir string, h *tar.Header) error
	Close()
}

// smallFile is what is read into memory, to be written while the next entry is read; farWriters is
// how many are at that.
const (
	smallFile  = 256 << 10
	farWriters = 16
)

// Put unpacks a tar stream into dir on the far side, by far, which stays the caller's. lost tells
// errors after which no more can be done; nil: there are none. The errors are those of far and of
// package tree: Fault gives them a kind.
//
// Names are checked on our side: the real place of each directory is asked for before anything is
// written into it, so no name and no link, of the stream or there before, leads out of dir. A
// process that changes links in dir at the same moment could still lead a write astray. Put does
// not defend against that: the process needs the same user's rights. As with tree.Unpack, an entry
// that cannot be made does not stop the others.
func Put(ctx context.Context, far Files, dir string, stream io.Reader, lost func(error) bool) error {
	if dir == "" {
		dir = "."
	}
	if lost == nil {
		lost = func(error) bool { return false }
	}
	p := &putter{
		ctx: ctx, far: far, lost: lost, real: map[string]string{}, seen: map[string]bool{},
		writers: make(chan struct{}, farWriters),
	}
	err := p.root(dir)
	if err == nil {
		err = p.unpack(stream)
	}
	p.busy.Wait()
	return err
}

type putter struct {
	ctx     context.Context // of this one call
	far     Files
	lost    func(error) bool
	top     string            // the real place of dir
	real    map[string]string // directories of the stream that are there, and where they really are
	seen    map[string]bool   // names written by this call
	dirs    []*tar.Header
	writers chan struct{}
	busy    sync.WaitGroup

	mu     sync.Mutex
	failed tree.Failures
}

func (p *putter) fail(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed.Add(&tree.FileError{Path: name, Err: tree.Cause(err)})
}

// root makes dir and the directories above it.
func (p *putter) root(dir string) error {
	var missing []string
	for d := path.Clean(dir); ; d = path.Dir(d) {
		real, err := p.far.Real(p.ctx, d)
		if err == nil {
			p.top = real
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || d == "/" || d == "." {
			return &tree.FileError{Path: dir, Err: tree.Cause(err)}
		}
		missing = append(missing, d)
	}
	for _, d := range slices.Backward(missing) {
		if err := p.far.Mkdir(p.ctx, d); err != nil && !errors.Is(err, fs.ErrExist) {
			return &fs.PathError{Op: "mkdir", Path: d, Err: tree.Cause(err)}
		}
	}
	if len(missing) > 0 {
		real, err := p.far.Real(p.ctx, dir)
		if err != nil {
			return err
		}
		p.top = real
	}
	p.real["."] = p.top
	return nil
}

// unpack reads the stream and makes its entries.
func (p *putter) unpack(stream io.Reader) error {
	tr := tar.NewReader(readerFunc(func(b []byte) (int, error) {
		if err := p.ctx.Err(); err != nil {
			return 0, err
		}
		return stream.Read(b)
	}))
	var broken error
	for broken == nil {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			broken = err
			break
		}
		if err := p.entry(h, tr); err != nil {
			var re *tree.ReadError
			if errors.As(err, &re) || p.ctx.Err() != nil || p.lost(err) {
				broken = err
				break
			}
			p.fail(h.Name, err)
		}
	}
	p.busy.Wait()
	for _, h := range slices.Backward(p.dirs) {
		if dir, ok := p.real[h.Name]; ok && p.ctx.Err() == nil {
			if err := p.far.Attributes(p.ctx, dir, h); err != nil {
				p.fail(h.Name, err)
			}
		}
	}
	if broken != nil {
		p.fail("the stream", broken)
	}
	return p.failed.Err()
}

// entry makes one entry. Small files are written in the background, by one of farWriters.
func (p *putter) entry(h *tar.Header, body io.Reader) error {
	name, err := tree.Within(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeDir:
		_, err := p.enter(name)
		if err == nil {
			d := *h
			d.Name = name
			p.dirs = append(p.dirs, &d)
		}
		return err
	case tar.TypeReg, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo, tar.TypeGNUSparse, tar.TypeCont:
	default:
		return errors.New("left out: sockets and devices are not copied")
	}
	if name == "." {
		return tree.ErrOutside
	}
	dir, err := p.enter(path.Dir(name))
	if err != nil {
		return err
	}
	full, temp := path.Join(dir, path.Base(name)), path.Join(dir, ".hostler-"+rand.Text()[:12])
	if p.seen[name] || h.Typeflag == tar.TypeLink {
		p.busy.Wait() // order matters between entries of one name, and a link's file must be there
	}
	p.seen[name] = true
	delete(p.real, name)
	if h.Typeflag == tar.TypeLink {
		old, err := tree.Within(h.Linkname)
		if err != nil {
			return err
		}
		oldDir, err := p.enter(path.Dir(old))
		if err != nil {
			return err
		}
		link := *h
		link.Linkname = path.Join(oldDir, path.Base(old))
		return p.far.Special(p.ctx, temp, full, &link)
	}
	if h.Typeflag == tar.TypeSymlink {
		p.busy.Wait()
		p.forget(name)
	}
	if h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeFifo {
		return p.far.Special(p.ctx, temp, full, h)
	}
	if h.Size > smallFile {
		return p.far.Write(p.ctx, temp, full, h, body)
	}
	data := make([]byte, h.Size)
	if _, err := io.ReadFull(body, data); err != nil {
		return &tree.ReadError{Err: err}
	}
	p.writers <- struct{}{}
	p.busy.Go(func() {
		defer func() { <-p.writers }()
		if err := p.far.Write(p.ctx, temp, full, h, bytes.NewReader(data)); err != nil {
			p.fail(h.Name, err)
		}
	})
	return nil
}

// forget drops what is known of a directory that may no longer be one.
func (p *putter) forget(name string) {
	for d := range p.real {
		if strings.HasPrefix(d, name+"/") || d == name {
			delete(p.real, d)
		}
	}
}

// enter returns the real place of a directory of the stream, made if it is missing, and refuses one
// that is not below the top.
func (p *putter) enter(dir string) (string, error) {
	if real, ok := p.real[dir]; ok {
		return real, nil
	}
	if p.seen[dir] {
		p.busy.Wait()
	}
	parent, err := p.enter(path.Dir(dir))
	if err != nil {
		return "", err
	}
	full := path.Join(parent, path.Base(dir))
	// Made first and asked for then: that is one question for a new directory, and mkdir follows no
	// link.
	err = p.far.Mkdir(p.ctx, full)
	real := full
	if err != nil {
		var rerr error
		if real, rerr = p.far.Real(p.ctx, full); rerr != nil {
			if errors.Is(rerr, fs.ErrNotExist) {
				return "", tree.Cause(err)
			}
			return "", tree.Cause(rerr)
		}
		if real != p.top && !strings.HasPrefix(real, strings.TrimSuffix(p.top, "/")+"/") {
			return "", tree.ErrOutside
		}
	}
	p.real[dir] = real
	return real, nil
}

var errNotDirectory = syscall.ENOTDIR

// Fault gives an error of files its kind, and the operation that it is of.
func Fault(op string, err error) error {
	var ce *compute.Error
	switch {
	case err == nil, errors.As(err, &ce) && ce.Op == op, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &ce):
		return &compute.Error{Op: op, Kind: ce.Kind, Err: err}
	case errors.Is(err, fs.ErrNotExist):
		return &compute.Error{Op: op, Kind: compute.ErrNotFound, Err: err}
	case errors.Is(err, fs.ErrPermission):
		return &compute.Error{Op: op, Kind: compute.ErrDenied, Err: err}
	default:
		return &compute.Error{Op: op, Kind: compute.ErrFailed, Err: err}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
