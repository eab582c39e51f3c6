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

// Pack keeps what sessions send in the form in which it goes over the wire, so that what many
// computers are sent is read, hashed and packed once. What two sessions share is a list of entries,
// or the contents that the other side asked for, if both are the same. All sessions of a Pack send
// trees of one root.
//
// It stands in files without names in a directory here, not in memory. Where there is too little
// room for that, each session packs for itself.
type Pack struct {
	dir    string
	making sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	portions map[workspace.Sum]*portion
	made     int
}

// NewPack returns a Pack that keeps its files in dir, which is made if it is missing. It is the
// caller's to close, after the sessions that it was given to.
func NewPack(dir string) *Pack {
	return &Pack{dir: dir, portions: make(map[workspace.Sum]*portion)}
}

// Made is how many lists and contents were packed so far.
func (p *Pack) Made() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// Close ends what is still being packed and lets go of the files.
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

// spare is what must stay free on the disk beside what is packed.
const spare = 64 << 20

// portion returns what is packed under a key, or has it packed: fill writes it, size bytes at most
// before packing. nil: the session has to do it itself.
func (p *Pack) portion(key workspace.Sum, size int64, pack func(dst, src []byte) []byte, fill func(*workspace.Writer) error) *portion {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	if one := p.portions[key]; one != nil {
		return one
	}
	file, err := spool(p.dir, size)
	if err != nil {
		return nil
	}
	one := &portion{file: file}
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

// forget has the next who wants it pack it anew. Those that read it still have the file.
func (p *Pack) forget(key workspace.Sum, one *portion) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.portions[key] == one {
		delete(p.portions, key)
	}
}

// spool makes a file without a name, if the disk has room for so many bytes.
func spool(dir string, size int64) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil && fs.Bavail < uint64(size+spare)/uint64(fs.Bsize) {
		return nil, unix.ENOSPC
	}
	// prune removes it where we are killed before it is removed here
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// portion is one list, or some contents, as blocks. One writes it, any number read it, also before
// it is complete.
type portion struct {
	file *os.File // the collector closes it where the Pack has forgotten it

	mu   sync.Mutex
	more sync.Cond
	size int64 // so much is there
	end  error // io.EOF: that is all; nil: there will be more
}

// Write implements io.Writer, for the one that makes it.
func (o *portion) Write(b []byte) (int, error) {
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

// stop says that there will be no more; the first word counts.
func (o *portion) stop(why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.end == nil {
		o.end = why
	}
	o.more.Broadcast()
}

// copyTo writes all of it.
func (o *portion) copyTo(w *workspace.Writer) error {
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

// tree sends the list of a tree: shared, where others send the same one.
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

// shared sends the contents of files as others do that were asked for the same. ok is false where
// the session has to pack them itself.
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
