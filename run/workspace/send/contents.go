package send

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// wanted sends the contents that the other side asked for.
func (s *Session) wanted(t *scan.Tree, sums []workspace.Sum) error {
	asked := make(map[workspace.Sum]bool, len(sums))
	for _, sum := range sums {
		asked[sum] = true
	}
	var files []*scan.Entry
	for i := range t.Entries {
		if e := &t.Entries[i]; e.Kind == scan.File && asked[e.Sum] {
			files = append(files, e)
			delete(asked, e.Sum)
		}
	}
	if len(asked) > 0 {
		return lost(errors.New("the other side asks for contents that are not of this tree"))
	}
	return s.contents(t, files)
}

// contents sends the contents of files.
func (s *Session) contents(t *scan.Tree, files []*scan.Entry) error {
	if len(files) == 0 {
		return nil
	}
	if ok, err := s.shared(t, files); ok {
		return err
	}
	roots := make(map[string]int, 2)
	defer func() {
		for _, fd := range roots {
			_ = unix.Close(fd)
		}
	}()
	for _, e := range files {
		if s.sent[e.Sum] {
			continue
		}
		dir, name := t.Place(e.Path)
		root, open := roots[dir]
		if !open {
			var err error
			if root, err = unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
				return &os.PathError{Op: "open", Path: dir, Err: err}
			}
			roots[dir] = root
		}
		if err := s.content(root, name, e); err != nil {
			return at(filepath.Join(dir, filepath.FromSlash(name)), err)
		}
		_, partly := s.there[e.Sum]
		s.sent[e.Sum] = !partly // it may be asked for again
		delete(s.there, e.Sum)
		s.res.Files++
	}
	return nil
}

// at adds the file's path to an error of reading.
func at(path string, err error) error {
	var told *compute.Error
	switch {
	case errors.Is(err, ErrChanged):
		return &compute.Error{Op: "sync", Kind: compute.ErrConflict, Err: fmt.Errorf("%s: %w", path, ErrChanged),
			Hint: "something writes into it: wait until that has ended, or leave it out by .hostlerignore"}
	case errors.As(err, &told):
		return err
	}
	return &compute.Error{Op: "sync", Kind: compute.ErrFailed, Err: fmt.Errorf("%s: %w", path, err)}
}

// whole is the size up to which a file is read completely before any of it is sent.
const whole = 4 << 20

// content sends one file. It hashes the file on the way, so a file that differs from the scan is
// never taken for it.
func (s *Session) content(root int, name string, e *scan.Entry) error {
	f, err := openBeneath(root, name)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return ErrChanged
		}
		return err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() || fi.Size() != e.Size || fi.ModTime().UnixNano() != e.ModTime {
		return ErrChanged
	}
	if have, ok := s.there[e.Sum]; ok {
		return s.parts(f, e, have)
	}
	h := sha256.New()
	if e.Size <= whole {
		b := make([]byte, e.Size)
		if _, err := io.ReadFull(f, b); err != nil {
			return changed(err)
		}
		if sha256.Sum256(b) != e.Sum {
			return ErrChanged
		}
		if err := s.w.Content(e.Sum, e.Size); err != nil {
			return s.breakReason(err)
		}
		if _, err := s.w.Write(b); err != nil {
			return s.breakReason(err)
		}
		return nil
	}
	if err := s.w.Content(e.Sum, e.Size); err != nil {
		return s.breakReason(err)
	}
	b := make([]byte, workspace.MaxBlock)
	for left := e.Size; left > 0; {
		n, err := f.Read(b[:min(left, int64(len(b)))])
		if n == 0 && err != nil {
			return changed(err)
		}
		h.Write(b[:n])
		if _, err := s.w.Write(b[:n]); err != nil {
			return s.breakReason(err)
		}
		left -= int64(n)
	}
	if workspace.Sum(h.Sum(nil)) != e.Sum {
		return ErrChanged
	}
	return nil
}

// changed makes ErrChanged of an early end of a file.
func changed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrChanged
	}
	return err
}

// openBeneath opens a file below an open directory. Like the scan, it follows no link.
func openBeneath(root int, path string) (*os.File, error) {
	fd, own := root, false
	for {
		name, rest, more := strings.Cut(path, "/")
		flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if more {
			flags |= unix.O_DIRECTORY
		} else {
			flags |= unix.O_NONBLOCK // the file may be a fifo by now
		}
		next, err := unix.Openat(fd, name, flags, 0)
		if err == unix.EINTR {
			continue
		}
		if own {
			_ = unix.Close(fd)
		}
		if err != nil {
			return nil, err
		}
		if !more {
			return os.NewFile(uintptr(next), path), nil
		}
		fd, own, path = next, true, rest
	}
}
