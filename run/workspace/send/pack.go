package send

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// Pack keeps what sessions send in packed form, so that data for many computers is read, hashed and
// packed once. Sessions share a list of entries, and the contents that were asked for, if these are
// the same. All sessions of a Pack send trees of one root. A Pack is safe for concurrent use.
//
// The data is in unnamed files in a local directory, not in memory. If the disk has too little
// room, each session packs for itself.
type Pack struct {
	dir    string
	making sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	portions map[workspace.Sum]*packedPart
	made     int
}

// NewPack returns a Pack with its files in dir, which it makes if needed. The caller closes it
// after the sessions that use it.
func NewPack(dir string) *Pack {
	return &Pack{dir: dir, portions: make(map[workspace.Sum]*packedPart)}
}

// Made returns how many lists and contents were packed so far.
func (p *Pack) Made() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// Close stops packing and closes the files.
func (p *Pack) Close() {
	p.mu.Lock()
	p.closed = true
	all := p.portions
	p.portions = nil
	p.mu.Unlock()
	for _, one := range all {
		one.stop(errPackClosed)
	}
	p.making.Wait()
	for _, one := range all {
		_ = one.file.Close()
	}
}

var errPackClosed = errors.New("nobody sends it any more")

// spare is how many bytes must stay free on the disk.
const spare = 64 << 20

// portion returns the packed data of a key, and has fill write it if there is none. Before packing
// it has at most size bytes. It returns nil if the session must pack for itself.
func (p *Pack) portion(key workspace.Sum, size int64, pack func(dst, src []byte) []byte, fill func(*workspace.Writer) error) *packedPart {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	if one := p.portions[key]; one != nil {
		return one
	}
	file, err := tempFile(p.dir, size)
	if err != nil {
		return nil
	}
	one := &packedPart{file: file}
	one.more.L = &one.mu
	p.portions[key] = one
	p.made++
	p.making.Go(func() {
		w := workspace.NewWriter(one, pack)
		err := fill(w)
		if err == nil {
			err = w.Flush()
		}
		if err == nil {
			err = io.EOF
		} else {
			p.forget(key, one)
		}
		one.stop(err)
	})
	return one
}

// forget makes the next use of a key pack again. Readers of the old portion keep its file.
func (p *Pack) forget(key workspace.Sum, one *packedPart) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.portions[key] == one {
		delete(p.portions, key)
	}
}

// tempFile makes an unnamed file if the disk has room for so many bytes.
func tempFile(dir string, size int64) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil && fs.Bavail < uint64(size+spare)/uint64(fs.Bsize) {
		return nil, unix.ENOSPC
	}
	// if this process is killed first, prune removes the file
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// packedPart is a list or some contents in packed blocks. One goroutine writes it. Any number
// may read it, even before it is complete.
type packedPart struct {
	file *os.File // the garbage collector closes it once the Pack forgets it

	mu   sync.Mutex
	more sync.Cond
	size int64 // bytes written so far
	end  error // io.EOF: it is complete; nil: more will come
}

// Write implements io.Writer. Only the goroutine that makes the portion calls it.
func (o *packedPart) Write(b []byte) (int, error) {
	o.mu.Lock()
	at, end := o.size, o.end
	o.mu.Unlock()
	if end != nil {
		return 0, end
	}
	n, err := o.file.WriteAt(b, at)
	if err != nil {
		return n, &compute.Error{Op: "sync", Kind: compute.ErrFailed, Err: fmt.Errorf("keep what is sent to several computers: %w", err),
			Hint: "make room on the disk that has your cache directory, or run the command on fewer of them at once"}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size += int64(n)
	o.more.Broadcast()
	return n, nil
}

// stop ends the portion. Only the first call counts.
func (o *packedPart) stop(why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.end == nil {
		o.end = why
	}
	o.more.Broadcast()
}

// copyTo sends the whole portion, and waits for the rest of it.
func (o *packedPart) copyTo(w *workspace.Writer) error {
	buf := make([]byte, 128<<10)
	for at := int64(0); ; {
		o.mu.Lock()
		for o.size == at && o.end == nil {
			o.more.Wait()
		}
		size, end := o.size, o.end
		o.mu.Unlock()
		if end != nil && end != io.EOF {
			return end
		}
		if at == size {
			return nil
		}
		n, err := o.file.ReadAt(buf[:min(size-at, int64(len(buf)))], at)
		if err != nil {
			return fmt.Errorf("read what is sent to several computers: %w", err)
		}
		if err := w.Packed(buf[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
}

// tree sends the list of a tree, from the Pack if there is one.
func (s *Session) tree(m *workspace.Tree) error {
	if s.opt.Pack == nil || m.Form == workspace.Same {
		return s.w.Tree(m)
	}
	key := sha256.New()
	fmt.Fprintf(key, "list %d %v %x %x", m.Form, s.opt.Compress, m.Base, m.ID)
	one := s.opt.Pack.portion(
		workspace.Sum(key.Sum(nil)), int64(len(m.Entries))<<8, s.pack,
		func(w *workspace.Writer) error { return w.Tree(m) },
	)
	if one == nil {
		return s.w.Tree(m)
	}
	return one.copyTo(s.w)
}

// shared sends the contents of files from the Pack. ok is false if the session must pack them
// itself.
func (s *Session) shared(t *scan.Tree, files []*scan.Entry) (ok bool, err error) {
	if s.opt.Pack == nil || len(s.there) > 0 {
		return false, nil
	}
	key := sha256.New()
	fmt.Fprintf(key, "contents %v", s.opt.Compress)
	var size int64
	for _, e := range files {
		if s.sent[e.Sum] {
			return false, nil
		}
		key.Write(e.Sum[:])
		size += e.Size
	}
	one := s.opt.Pack.portion(workspace.Sum(key.Sum(nil)), size, s.pack, func(w *workspace.Writer) error {
		return (&Session{w: w, sent: make(map[workspace.Sum]bool)}).contents(t, files)
	})
	if one == nil {
		return false, nil
	}
	if err := one.copyTo(s.w); err != nil {
		return true, err
	}
	for _, e := range files {
		s.sent[e.Sum] = true
	}
	s.res.Files += len(files)
	return true, nil
}
