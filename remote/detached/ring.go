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
	ringsMost = 32 << 20 // all of them together; a ring that may not grow loses more, or waits more
)

// ring keeps the last bytes of an endless stream. Its readers are at places of their own; the
// writer waits for those who are heeded.
type ring struct {
	total *atomic.Int64 // bytes that all rings have

	mu      sync.Mutex
	changed sync.Cond
	buf     []byte // nil: nothing was written yet
	start   int64  // where in the stream the oldest byte is that is kept
	end     int64  // where the next will be
	closed  bool   // nothing more will be written
	err     error  // what a writer is told; nil: go on
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

// Write keeps p, of which the oldest bytes make room when nobody is waited for.
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
		if room <= 0 { // nobody is waited for: what is oldest goes
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

// needed is the oldest place that somebody who is heeded has not read, and whether there is such a
// one; without one, the oldest that is kept.
func (r *ring) needed() (at int64, heeded bool) {
	at = r.start
	for x := range r.readers {
		if x.heeded && (!heeded || x.at < at) {
			at, heeded = x.at, true
		}
	}
	return at, heeded
}

// grow makes the ring larger, if it may be, and returns how much room there is then beside what is
// kept from low on.
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
	if r.total.Add(more) > ringsMost && r.buf != nil { // the first few are everybody's
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

// close ends the stream: readers get what is there, and then its end.
func (r *ring) close() {
	r.mu.Lock()
	r.closed = true
	r.changed.Broadcast()
	r.mu.Unlock()
}

// fail has writers hear err.
func (r *ring) fail(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.changed.Broadcast()
	r.mu.Unlock()
}

// free gives back the memory. Nobody writes any more.
func (r *ring) free() {
	r.mu.Lock()
	r.total.Add(-int64(len(r.buf)))
	r.buf, r.start = nil, r.end
	r.closed = true
	r.changed.Broadcast()
	r.mu.Unlock()
}

// from makes a reader at a place; -1 is the oldest that is kept.
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

// leave takes a reader out. It wakes it.
func (x *reader) leave() {
	x.r.mu.Lock()
	x.left = true
	delete(x.r.readers, x)
	x.r.changed.Broadcast()
	x.r.mu.Unlock()
}

// copy writes what comes to w, until the stream ends, the reader leaves, or w fails, which it
// returns. It says in the stream what is missing.
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

// next waits for bytes, and copies them into piece. For who is heeded they are still kept until he
// took them.
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

// took counts what was written for who is heeded.
func (x *reader) took(n int) {
	if !x.heeded {
		return
	}
	x.r.mu.Lock()
	x.at += int64(n)
	x.r.changed.Broadcast()
	x.r.mu.Unlock()
}
