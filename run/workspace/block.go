package workspace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxBlock is the most bytes of a block, unpacked.
const MaxBlock = 256 << 10

const (
	plainBlock = 0
	zstdBlock  = 1
)

// Writer packs bytes into blocks. Only one goroutine may use it.
type Writer struct {
	w        io.Writer
	compress func(dst, src []byte) []byte
	buf      []byte // the block that is being filled
	packed   []byte
	err      error // the first error of w; nothing is written after it
	Sent     int64 // bytes written to w
}

// NewWriter returns a Writer to w. compress appends src, packed as zstd, to dst; nil: blocks are
// not packed.
func NewWriter(w io.Writer, compress func(dst, src []byte) []byte) *Writer {
	return &Writer{w: w, compress: compress, buf: make([]byte, 0, 4<<10)}
}

// Write adds p to the block, and sends each block that is full.
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), MaxBlock-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p = p[k:]
		if len(w.buf) == MaxBlock {
			if err := w.Flush(); err != nil {
				return n - len(p), err
			}
		}
	}
	return n, nil
}

// worthPacking is the size below which packing a block does not pay.
const worthPacking = 512

// Flush sends the unfinished block.
func (w *Writer) Flush() error {
	if len(w.buf) == 0 || w.err != nil {
		return w.err
	}
	const room = 1 + 2*binary.MaxVarintLen32
	w.packed = append(w.packed[:0], make([]byte, room)...)
	kind, body := byte(plainBlock), w.buf
	if w.compress != nil && len(w.buf) >= worthPacking {
		w.packed = w.compress(w.packed, w.buf)
		if len(w.packed)-room < len(w.buf)-len(w.buf)/16 {
			kind, body = zstdBlock, w.packed[room:]
		}
	}
	if kind == plainBlock {
		w.packed = append(w.packed[:room], w.buf...)
		body = w.packed[room:]
	}
	var head [room]byte
	head[0] = kind
	n := 1 + binary.PutUvarint(head[1:], uint64(len(w.buf)))
	n += binary.PutUvarint(head[n:], uint64(len(body)))
	out := w.packed[room-n:]
	copy(out, head[:n]) // head and body in one write
	k, err := w.w.Write(out)
	w.Sent += int64(k)
	w.buf, w.err = w.buf[:0], err
	return err
}

// Packed sends blocks, or successive pieces of them, that another Writer has packed.
func (w *Writer) Packed(blocks []byte) error {
	if err := w.Flush(); err != nil {
		return err
	}
	k, err := w.w.Write(blocks)
	w.Sent += int64(k)
	w.err = err
	return err
}

// Reader unpacks blocks. Only one goroutine may use it.
type Reader struct {
	r    *bufio.Reader
	buf  []byte // the block; its unread part begins at off
	off  int
	body []byte
	Got  int64 // bytes of blocks read
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 32<<10)} }

var errBlock = errors.New("a block that is not well formed")

// decoder unpacks for all readers. It is made for the first packed block.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxBlock), zstd.WithDecoderLowmem(true))
})

// next reads the next block. io.EOF means an end between two blocks.
func (r *Reader) next() error {
	kind, err := r.r.ReadByte()
	if err != nil {
		return err
	}
	plain, err := binary.ReadUvarint(r.r)
	if err != nil {
		return unexpected(err)
	}
	packed, err := binary.ReadUvarint(r.r)
	if err != nil {
		return unexpected(err)
	}
	if kind > zstdBlock || plain == 0 || plain > MaxBlock || packed > plain || kind == plainBlock && packed != plain {
		return errBlock
	}
	r.Got += int64(packed)
	if kind == plainBlock {
		r.buf = sized(r.buf, int(plain))
		_, err = io.ReadFull(r.r, r.buf)
		return unexpected(err)
	}
	r.body = sized(r.body, int(packed))
	if _, err := io.ReadFull(r.r, r.body); err != nil {
		return unexpected(err)
	}
	d, err := decoder()
	if err != nil {
		return err
	}
	r.buf, err = d.DecodeAll(r.body, sized(r.buf, int(plain))[:0])
	if err != nil || len(r.buf) != int(plain) {
		r.buf = r.buf[:0]
		return errors.Join(errBlock, err)
	}
	return nil
}

func sized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read reads from the current block, or from the next one.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.off == len(r.buf) {
		r.buf, r.off = r.buf[:0], 0
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.off:])
	r.off += n
	return n, nil
}

// ReadByte implements io.ByteReader.
func (r *Reader) ReadByte() (byte, error) {
	for r.off == len(r.buf) {
		r.buf, r.off = r.buf[:0], 0
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	r.off++
	return r.buf[r.off-1], nil
}

// bytes reads a length of at most limit, and so many bytes. It takes memory as they arrive.
func (r *Reader) bytes(limit int) ([]byte, error) {
	n, err := r.number(limit)
	if err != nil {
		return nil, err
	}
	out := make([]byte, min(n, MaxBlock))
	for got := 0; ; {
		k, err := io.ReadFull(r, out[got:])
		if err != nil {
			return nil, unexpected(err)
		}
		if got += k; got == n {
			return out, nil
		}
		out = append(out, make([]byte, min(n-got, len(out)))...)
	}
}

func (r *Reader) text(limit int) (string, error) {
	b, err := r.bytes(limit)
	return string(b), err
}

// number reads a varint of at most limit.
func (r *Reader) number(limit int) (int, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, unexpected(err)
	}
	if n > uint64(limit) {
		return 0, fmt.Errorf("a message with a number of %d where %d is the most", n, limit)
	}
	return int(n), nil
}
