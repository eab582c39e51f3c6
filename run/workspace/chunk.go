package workspace

import (
	"crypto/sha256"
	"io"
)

// The sizes of chunks in bytes: least and most. Most chunks have about 64 KiB. The last one of a
// file may be shorter.
const (
	chunkLeast = 32 << 10
	chunkMost  = MaxBlock
)

// Chunk is a piece of a file whose boundaries depend on the contents. So the pieces before and
// after a change stay the same.
type Chunk struct {
	Size int
	Sum  [16]byte // the beginning of its SHA-256: finds a chunk, but proves nothing
}

// ChunkOf returns the chunk of some bytes.
func ChunkOf(b []byte) Chunk {
	sum := sha256.Sum256(b)
	return Chunk{len(b), [16]byte(sum[:16])}
}

// gear has a random number for each byte, for a rolling hash. The hash doubles at each byte and
// adds its number, so only the last 64 bytes count.
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

// cutAt selects the bits of the hash that are 0 where a chunk ends. They are the 15 highest, which
// depend on all of the last bytes. They are 0 once in 32 KiB, beyond the least size.
const cutAt = uint64(1<<15-1) << 49

// Cut reads r to its end and calls each for one chunk after the other. The bytes are valid until
// each returns.
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

// chunkEnd returns the length of the chunk at the beginning of b. b has the most bytes of a chunk,
// or ends with the file.
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

// WantParts asks for contents, and names the chunks of a similar file that the other side has.
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

// WantParts reads the message of Writer.WantParts.
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

// Parts announces contents of so many bytes. Part and Literal follow until there are so many.
func (w *Writer) Parts(sum Sum, size int64) error {
	w.number(KindParts)
	_, _ = w.Write(sum[:])
	w.number(int(size))
	return w.err
}

// Part says that the next bytes are a chunk that the other side has.
func (w *Writer) Part(i int) error {
	w.number(i + 1)
	return w.err
}

// Literal sends the next bytes.
func (w *Writer) Literal(b []byte) error {
	w.number(0)
	w.number(len(b))
	_, _ = w.Write(b)
	return w.err
}

// Part reads what Part or Literal wrote. i is the number of a chunk below n, or -1 if size bytes
// follow.
func (r *Reader) Part(n int) (i, size int, err error) {
	if i, err = r.number(n); err != nil || i > 0 {
		return i - 1, 0, err
	}
	size, err = r.number(chunkMost)
	return -1, size, err
}
