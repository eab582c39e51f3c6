package detached

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

const (
	ringFirst = 4 << 10  // bytes that a ring begins with
	ringMost  = 1 << 20  // and may have
	ringsMost = 32 << 20 // all rings together; a ring that may not grow loses more, or waits longer
)

// ring keeps the last bytes of an endless stream. Each reader has its own place. The writer waits
// for readers that are heeded.
type ring struct {
	total *atomic.Int64 // bytes of all rings

	mu      sync.Mutex
	changed sync.Cond
	buf     []byte // nil: nothing was written yet
	start   int64  // the place in the stream of the oldest byte that is kept
	end     int64  // the place of the next byte
	closed  bool   // nothing more will be written
	err     error  // returned to the writer; nil: go on
	readers map[*reader]bool
}

// reader is a place in a ring.
type reader struct {
	r      *ring
	at     int64
	heeded bool // the writer waits for it
	left   bool
}

func newRing(total *atomic.Int64) *ring {
	r := &ring{total: total, readers: map[*reader]bool{}}
	r.changed.L = &r.mu
	return r
}

// Write keeps p. It overwrites the oldest bytes when no reader is heeded.
func (r *ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := 0
	for done < len(p) {
		if r.err != nil {
			return done, r.err
		}
		if r.closed {
			return done, io.ErrClosedPipe
		}
		low, wait := r.needed()
		room := len(r.buf) - int(r.end-low)
		if room <= 0 {
			room = r.grow(low, len(p)-done)
		}
		if room <= 0 && wait {
			r.changed.Wait()
			continue
		}
		if room <= 0 { // no reader is heeded: overwrite the oldest
			room = min(len(p)-done, len(r.buf))
		}
		n := min(room, len(p)-done)
		for left := p[done : done+n]; len(left) > 0; {
			k := copy(r.buf[r.end%int64(len(r.buf)):], left)
			left, r.end = left[k:], r.end+int64(k)
		}
		r.start = max(r.start, r.end-int64(len(r.buf)))
		done += n
		r.changed.Broadcast()
	}
	return done, nil
}

// needed returns the oldest place that a heeded reader has not read, and whether there is such a
// reader. Without one it returns the oldest place that is kept.
func (r *ring) needed() (at int64, heeded bool) {
	at = r.start
	for x := range r.readers {
		if x.heeded && (!heeded || x.at < at) {
			at, heeded = x.at, true
		}
	}
	return at, heeded
}

// grow enlarges the ring within its limits, and returns how much room there is then beside the
// bytes from low on.
func (r *ring) grow(low int64, want int) int {
	size := max(2*len(r.buf), ringFirst)
	for size < ringMost && size < len(r.buf)+want {
		size *= 2
	}
	size = min(size, ringMost)
	more := int64(size - len(r.buf))
	if more <= 0 {
		return 0
	}
	if r.total.Add(more) > ringsMost && r.buf != nil { // each ring may have its first bytes
		r.total.Add(-more)
		return 0
	}
	buf := make([]byte, size)
	for at := r.start; at < r.end; {
		from, to := r.buf[at%int64(len(r.buf)):], buf[at%int64(size):]
		at += int64(copy(to, from[:min(int64(len(from)), r.end-at)]))
	}
	r.buf = buf
	return size - int(r.end-low)
}

// close ends the stream. Readers get the bytes that are left, then io.EOF.
func (r *ring) close() {
	r.mu.Lock()
	r.closed = true
	r.changed.Broadcast()
	r.mu.Unlock()
}

// fail makes writers fail with err.
func (r *ring) fail(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.changed.Broadcast()
	r.mu.Unlock()
}

// free releases the memory. No writer is left.
func (r *ring) free() {
	r.mu.Lock()
	r.total.Add(-int64(len(r.buf)))
	r.buf, r.start = nil, r.end
	r.closed = true
	r.changed.Broadcast()
	r.mu.Unlock()
}

// from makes a reader at a place. -1 is the oldest place that is kept.
func (r *ring) from(at int64, heeded bool) *reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at < 0 {
		at = r.start
	}
	x := &reader{r: r, at: min(at, r.end), heeded: heeded}
	r.readers[x] = true
	return x
}

// leave removes a reader, and wakes it.
func (x *reader) leave() {
	x.r.mu.Lock()
	x.left = true
	delete(x.r.readers, x)
	x.r.changed.Broadcast()
	x.r.mu.Unlock()
}

// copy writes the stream to w until it ends, the reader leaves, or w fails. Where bytes are
// missing, a line in the output says how many.
func (x *reader) copy(w io.Writer) error {
	var piece []byte
	for {
		missing, n, err := x.next(&piece)
		if missing > 0 {
			if _, werr := fmt.Fprintf(w, "\n[hostler: %d bytes are missing here]\n", missing); werr != nil {
				return werr
			}
		}
		if n > 0 {
			if _, werr := w.Write(piece[:n]); werr != nil {
				return werr
			}
			x.took(n)
			continue
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

const pieceMost = 64 << 10

// next waits for bytes and copies them into piece. For a heeded reader the ring keeps them until
// took is called.
func (x *reader) next(piece *[]byte) (missing int64, n int, err error) {
	r := x.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for x.at == r.end && !r.closed && !x.left {
		r.changed.Wait()
	}
	if x.left {
		return 0, 0, errLeft
	}
	if x.at < r.start {
		missing = r.start - x.at
		x.at = r.start
	}
	if x.at == r.end {
		if !r.closed {
			return missing, 0, nil
		}
		return missing, 0, io.EOF
	}
	n = int(min(r.end-x.at, pieceMost, int64(len(r.buf))))
	if cap(*piece) < n {
		*piece = make([]byte, max(n, ringFirst))
	}
	*piece = (*piece)[:cap(*piece)]
	n = min(n, len(*piece))
	for done := 0; done < n; {
		begin := int((x.at + int64(done)) % int64(len(r.buf)))
		done += copy((*piece)[done:n], r.buf[begin:])
	}
	if !x.heeded {
		x.at += int64(n)
	}
	return missing, n, nil
}

// took counts the bytes that a heeded reader has written.
func (x *reader) took(n int) {
	if !x.heeded {
		return
	}
	x.r.mu.Lock()
	x.at += int64(n)
	x.r.changed.Broadcast()
	x.r.mu.Unlock()
}
