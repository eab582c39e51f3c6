package image

import (
	"io"
	"sync/atomic"
)

// Progress is how far a pull is. It may be read at any time while Pull writes it.
type Progress struct {
	Layers atomic.Int64 // of the image
	Ready  atomic.Int64 // of these, here
	Size   atomic.Int64 // bytes to read; those of layers that were here are not counted
	Done   atomic.Int64 // bytes read
}

// watch counts the bytes read of r; p may be nil.
func (p *Progress) watch(r io.Reader) io.Reader {
	if p == nil {
		return r
	}
	return countingReader{r, &p.Done}
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
