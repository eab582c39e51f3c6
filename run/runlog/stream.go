package runlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// An output is kept in pieces of First bytes: NAME, then NAME.1, NAME.2 and so on. The first piece
// is kept, and so are the last pieces that have Rest bytes or more together. Those between are
// removed as new ones come. Pieces are only appended to, so output before a crash is kept. A
// piece's number gives its place in the output.

const (
	defaultHead = 1 << 20
	defaultTail = 7 << 20
)

func (l *Log) headSize() int64 {
	if l.First > 0 {
		return l.First
	}
	return defaultHead
}

func (l *Log) tailSize() int64 {
	if l.Rest > 0 {
		return l.Rest
	}
	return defaultTail
}

// Stream records an output. It is safe for concurrent use.
type Stream struct {
	base       string // "": nothing is recorded
	head, tail int64

	mu   sync.Mutex
	file *os.File
	n    int64 // bytes so far
	err  error
}

// Write records p. It never fails: the run's Err says why bytes were not recorded.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	whole := len(p)
	for len(p) > 0 {
		part := p[:min(int64(len(p)), s.head-s.n%s.head)]
		s.put(part)
		s.n += int64(len(part))
		p = p[len(part):]
	}
	return whole, nil
}

// put writes p to the current piece, and opens the next one at its start. Nothing is written
// after an error or after close.
func (s *Stream) put(p []byte) {
	if s.base == "" || s.err != nil {
		return
	}
	if s.n%s.head == 0 {
		s.next(s.n / s.head)
	}
	if s.err == nil {
		_, s.err = s.file.Write(p)
	}
}

// next begins a piece and removes pieces that are no longer among the last.
func (s *Stream) next(piece int64) {
	if s.file != nil {
		_ = s.file.Close()
	}
	if s.file, s.err = os.OpenFile(pieceName(s.base, piece), os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_EXCL, 0o600); s.err != nil {
		return
	}
	if old := piece - 1 - (s.tail+s.head-1)/s.head; old > 0 {
		if err := os.Remove(pieceName(s.base, old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.err = err
		}
	}
}

func pieceName(base string, piece int64) string {
	if piece == 0 {
		return base
	}
	return base + "." + strconv.FormatInt(piece, 10)
}

// Bytes returns how many bytes were written.
func (s *Stream) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// close ends the recording and returns its first error.
func (s *Stream) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		if err := s.file.Close(); s.err == nil {
			s.err = err
		}
		s.file = nil
	}
	base := s.base
	s.base = "" // later bytes are not recorded
	if s.err != nil {
		return fmt.Errorf("%s: %w", base, s.err)
	}
	return nil
}

// size returns the length of an output so far; 0 if nothing is recorded.
func (l *Log) size(id, name string) (int64, error) {
	entries, err := os.ReadDir(filepath.Join(l.Dir, id))
	if err != nil {
		return 0, err
	}
	last := int64(-1)
	for _, e := range entries {
		if e.Name() == name {
			last = max(last, 0)
		} else if rest, ok := strings.CutPrefix(e.Name(), name+"."); ok {
			if n, err := strconv.ParseInt(rest, 10, 64); err == nil && n > 0 {
				last = max(last, n)
			}
		}
	}
	if last < 0 {
		return 0, nil
	}
	info, err := os.Stat(pieceName(filepath.Join(l.Dir, id, name), last))
	if err != nil {
		return 0, err
	}
	return last*l.headSize() + info.Size(), nil
}

// Copy writes the recorded output from an offset on to w, and returns the offset to continue from.
// Where bytes in between were not kept, a line says how many.
func (l *Log) Copy(w io.Writer, id, name string, from int64) (next int64, err error) {
	end, err := l.size(id, name)
	if err != nil {
		return from, err
	}
	head, keep := l.headSize(), end-l.tailSize()
	for from < end {
		if from >= head && from < keep {
			if err := marker(w, keep-from); err != nil {
				return from, err
			}
			from = keep
		}
		to := min(end, from-from%head+head)
		n, err := l.copyPiece(w, id, name, from, to)
		from += n
		if errors.Is(err, fs.ErrNotExist) && from >= head { // it was removed meanwhile
			if end, err = l.size(id, name); err != nil {
				return from, err
			}
			keep = end - l.tailSize()
			if from >= keep {
				return from, fmt.Errorf("the record of %s has lost a piece of %s", id, name)
			}
			continue
		}
		if err != nil {
			return from, err
		}
		if from < to {
			return from, nil // the file is shorter than it should be
		}
	}
	return from, nil
}

func marker(w io.Writer, n int64) error {
	_, err := fmt.Fprintf(w, "\n[hostler: %d bytes are not kept here]\n", n)
	return err
}

// copyPiece writes the bytes of a stream at from and before to, which lie in one piece.
func (l *Log) copyPiece(w io.Writer, id, name string, from, to int64) (int64, error) {
	head := l.headSize()
	f, err := os.Open(pieceName(filepath.Join(l.Dir, id, name), from/head))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(w, io.NewSectionReader(f, from%head, to-from))
}

// Tail returns the offset where the last lines of an output begin.
func (l *Log) Tail(id, name string, lines int) (int64, error) {
	end, err := l.size(id, name)
	if err != nil || end == 0 {
		return 0, err
	}
	if lines <= 0 {
		return end, nil
	}
	head := l.headSize()
	first := max(0, end-l.tailSize())
	if end <= head+l.tailSize() {
		first = 0
	}
	breaks := 0
	for at := end; at > first; {
		from := max(first, (at-1)-(at-1)%head)
		data := make([]byte, 0, at-from)
		buf := &sliceWriter{data}
		if _, err := l.copyPiece(buf, id, name, from, at); err != nil {
			return from, err
		}
		for i, c := range slices.Backward(buf.b) {
			if c != '\n' || from+int64(i) == end-1 {
				continue
			}
			if breaks++; breaks == lines {
				return from + int64(i) + 1, nil
			}
		}
		at = from
	}
	return first, nil
}

type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}
