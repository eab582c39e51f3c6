package layer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os/exec"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Decompress looks at how a stream begins and returns what it holds. close gives back what reading
// took; it does not close r.
func Decompress(r io.Reader) (_ io.Reader, close func(), err error) {
	b := bufio.NewReaderSize(r, 256<<10)
	head, err := b.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, Contentf("not a whole gzip stream: %w", err)
		}
		return z, func() { _ = z.Close() }, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(head) > 3 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		z, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(b), func() {}, nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return unxz(b)
	}
	return b, func() {}, nil
}

// unxz has the program xz decompress a stream: root file systems are often packed so, images never.
func unxz(r io.Reader) (io.Reader, func(), error) {
	cmd := exec.Command("xz", "-dc")
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = r, &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil, Contentf("it is compressed by xz, and there is no program xz here to unpack it: install xz-utils")
	}
	if err != nil {
		return nil, nil, err
	}
	ended := sync.OnceValue(cmd.Wait)
	read := ReaderFunc(func(b []byte) (int, error) {
		n, err := out.Read(b)
		if err == io.EOF {
			if e := ended(); e != nil {
				return n, Contentf("xz: %w: %s", e, bytes.TrimSpace(said.Bytes()))
			}
		}
		return n, err
	})
	return read, func() {
		_ = cmd.Process.Kill()
		_ = ended()
	}, nil
}

// IsTar reports whether a stream that begins so is not compressed.
func IsTar(head []byte) bool {
	for _, magic := range [...]string{"\x1f\x8b", "\x28\xb5\x2f\xfd", "BZh", "\xfd7zXZ"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return false
		}
	}
	return true
}

// Hashing reads r through h, and counts.
type Hashing struct {
	R   io.Reader
	H   hash.Hash
	N   int64 // bytes read
	Err error // of R
}

// Read reads from R. It keeps R's last error, which may be io.EOF.
func (h *Hashing) Read(b []byte) (int, error) {
	n, err := h.R.Read(b)
	_, _ = h.H.Write(b[:n])
	h.N += int64(n)
	if err != nil {
		h.Err = err
	}
	return n, err
}

func DigestOf(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// ahead reads a stream in a goroutine of its own, a few pieces ahead of its reader, and hashes what
// it read: the archive is decompressed and summed up on one core while its files are made on
// another. It must be stopped; that waits for the goroutine, which waits for r.
type ahead struct {
	full, free chan []byte
	stop       chan struct{}
	once       sync.Once
	done       sync.WaitGroup
	err        error // of r, to be read when full is closed
	now, whole []byte
}

const (
	aheadPieces = 6
	aheadPiece  = 256 << 10
)

// NewAhead starts to read r in a goroutine, and hashes it into h. Stop it in the end.
func NewAhead(r io.Reader, h hash.Hash) *ahead {
	a := &ahead{full: make(chan []byte, aheadPieces), free: make(chan []byte, aheadPieces), stop: make(chan struct{})}
	for range aheadPieces {
		a.free <- nil
	}
	a.done.Go(func() {
		defer close(a.full)
		for {
			var b []byte
			select {
			case b = <-a.free:
			case <-a.stop:
				return
			}
			if b == nil {
				b = make([]byte, aheadPiece)
			}
			n, err := 0, error(nil)
			for n < aheadPiece && err == nil {
				var k int
				k, err = r.Read(b[n:aheadPiece])
				n += k
			}
			_, _ = h.Write(b[:n])
			if n > 0 {
				select {
				case a.full <- b[:n]:
				case <-a.stop:
					return
				}
			}
			if err != nil {
				a.err = err
				return
			}
		}
	})
	return a
}

// Read returns what was read ahead, and gives each buffer back when it is used up. After a stop
// it returns io.ErrClosedPipe.
func (a *ahead) Read(b []byte) (int, error) {
	if len(a.now) == 0 {
		if a.whole != nil {
			a.free <- a.whole
			a.whole = nil
		}
		next, ok := <-a.full
		if !ok {
			if a.err == nil {
				return 0, io.ErrClosedPipe
			}
			return 0, a.err
		}
		a.now, a.whole = next, next[:cap(next)]
	}
	n := copy(b, a.now)
	a.now = a.now[n:]
	return n, nil
}

func (a *ahead) Close() {
	a.once.Do(func() { close(a.stop) })
	a.done.Wait()
}

// StreamError tells a broken archive from a stream that broke.
func StreamError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) {
		return Contentf("a layer is not a tar archive: %w", err)
	}
	return err
}

// ReaderFunc is a Reader by its one method.
type ReaderFunc func([]byte) (int, error)

func (f ReaderFunc) Read(b []byte) (int, error) { return f(b) }
