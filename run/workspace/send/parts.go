package send

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"

	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// mostChunks bounds the chunks that the other side may announce in a session: those of some 50 GiB.
const mostChunks = 1 << 20

// readParts reads which chunks of wanted contents the other side has.
func (s *Session) readParts() error {
	sum, have, err := s.r.WantParts()
	if err != nil {
		return err
	}
	if s.chunks += len(have); s.chunks > mostChunks {
		return lost(errors.New("the other side names more chunks than files can have"))
	}
	s.there[sum] = have
	return nil
}

// parts sends a file as chunks that the other side has, and the bytes between them. It hashes the
// file on the way, so a file that differs from the scan is never taken for it.
func (s *Session) parts(f *os.File, e *scan.Entry, have []workspace.Chunk) error {
	index := make(map[workspace.Chunk]int, len(have))
	for i, c := range have {
		index[c] = i
	}
	if err := s.w.Parts(e.Sum, e.Size); err != nil {
		return s.breakReason(err)
	}
	h := sha256.New()
	err := workspace.Cut(io.LimitReader(f, e.Size), func(b []byte) error {
		h.Write(b)
		write := func() error { return s.w.Literal(b) }
		if i, ok := index[workspace.ChunkOf(b)]; ok {
			write = func() error { return s.w.Part(i) }
		}
		if err := write(); err != nil {
			return s.breakReason(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if workspace.Sum(h.Sum(nil)) != e.Sum { // or the file is shorter now
		return ErrChanged
	}
	return nil
}
