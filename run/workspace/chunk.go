package workspace

import (
	"crypto/sha256"
	"io"
)

// The sizes of chunks, in bytes, at least and at most; mostly they have 64 KiB. A file's last may
// be shorter.
const (
	chunkLeast = 32 << 10
	chunkMost  = MaxBlock
)

// Chunk is a stretch of a file, cut where its contents say, so that what stands before and behind a
// change is cut as before.
type Chunk struct {
	Size int
	Sum  [16]byte // the beginning of its SHA-256: it finds a chunk, and proves nothing
}

// ChunkOf is the chunk of some bytes.
func ChunkOf(b []byte) Chunk {
	sum := sha256.Sum256(b)
	return Chunk{len(b), [16]byte(sum[:16])}
}

// gear has a number for each byte: a rolling hash adds them up, doubling what came before, so that
// only the last 64 bytes count.
var gear = func() (g [256]uint64) {
	x := uint64(0x9e3779b97f4a7c15) // splitmix64
	for i := range g {
		x += 0x9e3779b97f4a7c15
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		g[i] = z ^ z>>31
	}
	return g
}()

// cutAt are the bits that are 0 where a chunk ends, the highest 15, which hang on all of the last
// bytes: once in 32 KiB, beyond the least size.
const cutAt = uint64(1<<15-1) << 49

// Cut reads r to its end and calls each for one chunk after the other; the bytes are each's until
// it returns.
func Cut(r io.Reader, each func(b []byte) error) error {
	buf := make([]byte, 2*chunkMost)
	from, to := 0, 0
	for eof := false; ; {
		if to-from < chunkMost && !eof {
			to = copy(buf, buf[from:to])
			from = 0
			n, err := io.ReadFull(r, buf[to:])
			to += n
			if eof = err == io.EOF || err == io.ErrUnexpectedEOF; err != nil && !eof {
				return err
			}
		}
		if from == to {
			return nil
		}
		n := chunkEnd(buf[from:to])
		if err := each(buf[from : from+n]); err != nil {
			return err
		}
		from += n
	}
}

// chunkEnd says how long the chunk is with which b begins; b has the most that a chunk can have, or
// is the file's end.
func chunkEnd(b []byte) int {
	b = b[:min(len(b), chunkMost)]
	var h uint64
	for i := chunkLeast - 64; i < len(b); i++ {
		h = h<<1 + gear[b[i]]
		if i >= chunkLeast && h&cutAt == 0 {
			return i + 1
		}
	}
	return len(b)
}

// WantParts asks for contents of which others are there that may be much the same: those are cut
// so.
func (w *Writer) WantParts(sum Sum, have []Chunk) error {
	w.number(KindWantParts)
	_, _ = w.Write(sum[:])
	w.number(len(have))
	for i := range have {
		w.number(have[i].Size)
		_, _ = w.Write(have[i].Sum[:])
	}
	return w.err
}

// WantParts reads what is asked for.
func (r *Reader) WantParts() (sum Sum, have []Chunk, err error) {
	if err = r.sum(&sum); err != nil {
		return
	}
	n, err := r.number(maxEntries)
	for i := 0; i < n && err == nil; i++ {
		var c Chunk
		if c.Size, err = r.number(chunkMost); err == nil {
			_, err = io.ReadFull(r, c.Sum[:])
		}
		have = append(have, c)
	}
	return sum, have, unexpected(err)
}

// Parts announces contents of so many bytes. Behind it stand Part and Literal, until they have so
// many.
func (w *Writer) Parts(sum Sum, size int64) error {
	w.number(KindParts)
	_, _ = w.Write(sum[:])
	w.number(int(size))
	return w.err
}

// Part says that the next bytes are those of a chunk that is there.
func (w *Writer) Part(i int) error {
	w.number(i + 1)
	return w.err
}

// Literal says that the next bytes are these.
func (w *Writer) Literal(b []byte) error {
	w.number(0)
	w.number(len(b))
	_, _ = w.Write(b)
	return w.err
}

// Part reads what Part or Literal wrote: the number of a chunk below n, or -1 and how many bytes
// stand behind it.
func (r *Reader) Part(n int) (i, size int, err error) {
	if i, err = r.number(n); err != nil || i > 0 {
		return i - 1, 0, err
	}
	size, err = r.number(chunkMost)
	return -1, size, err
}
