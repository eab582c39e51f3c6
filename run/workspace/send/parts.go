package send

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"

	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// mostChunks is of how many chunks the other side may say in a session that they are there: those
// of some 50 GiB.
const mostChunks = 1 << 20

// partly notes which chunks of contents that are asked for are there.
func (s *Session) partly() error {
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

// parts sends a file's contents by the chunks that are there, and what is not in those. As it is
// hashed while it goes, what is not what the scan saw is never taken for it.
func (s *Session) parts(f *os.File, e *scan.Entry, have []workspace.Chunk) error {
	index := make(map[workspace.Chunk]int, len(have))
	for i, c := range have {
		index[c] = i
	}
	if err := s.w.Parts(e.Sum, e.Size); err != nil {
		return s.why(err)
	}
	h := sha256.New()
	err := workspace.Cut(io.LimitReader(f, e.Size), func(b []byte) error {
		h.Write(b)
		write := func() error { return s.w.Literal(b) }
		if i, ok := index[workspace.ChunkOf(b)]; ok {
			write = func() error { return s.w.Part(i) }
		}
		if err := write(); err != nil {
			return s.why(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if workspace.Sum(h.Sum(nil)) != e.Sum { // also where it has become shorter
		return ErrChanged
	}
	return nil
}
