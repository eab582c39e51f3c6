package agent

import "sync"

// A buffer holds frames to write (with their headers), or received data (without).
type buffer struct {
	b      []byte // capacity headerLen + maxData
	off    int    // of received data: bytes taken already
	data   int    // of frames to write: bytes of data in them
	owners []*out // of frames to write: the channels of their data
}

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, headerLen+maxData)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

// free puts the buffer back for another use, unless it was made for one long request.
func (b *buffer) free() {
	if cap(b.b) != headerLen+maxData {
		return // made for one long request
	}
	b.b, b.off, b.data = b.b[:0], 0, 0
	clear(b.owners)
	b.owners = b.owners[:0]
	buffers.Put(b)
}

// room is how many more bytes it takes.
func (b *buffer) room() int { return cap(b.b) - len(b.b) }
