package agent

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/hostler-project/hostler/compute"
)

const (
	// firstWindow is how many bytes may be sent on a channel before the receiver gives more credit.
	firstWindow = 128 << 10
	maxWindow   = 2 << 20  // a window grows up to this while its reader keeps up
	maxCredit   = 16 << 20 // more credit than this breaks the protocol
	maxFlying   = 4        // buffers of one channel that wait to be written
)

// stream is one piece of work: a command, a copy, a connection.
type stream struct {
	s        *session
	id       uint32
	cancel   context.CancelCauseFunc // server: cancels its work, with a cause; may be nil
	onEnd    func()                  // server: called once when it has ended; may be nil
	client   asked
	ended    chan struct{} // closed at the result, or when the session ended
	finished chan struct{} // closed after that when the last pump has ended

	mu        sync.Mutex
	cond      sync.Cond
	in        [3]in
	out       [3]out
	over      bool   // ended is closed
	cancelled bool   // server: the client wants it to end
	err       error  // why, without a result
	result    []byte // the result's body
	pumps     int
	sinkErr   error             // the first error of a writer that a pump writes to
	signals   chan string       // server
	resize    chan compute.Size // server
}

// asked is a client's part of a stream.
type asked struct {
	reply    chan string          // the text of a reply; nil: none is expected
	accepted func(*netConn) error // takes a listener's connection; nil: no listener
	// the connection was closed, and may still have data to deliver
	closing atomic.Bool
}

// newStream returns a stream without a number; each channel has the first window.
func newStream(s *session) *stream {
	st := &stream{s: s, ended: make(chan struct{}), finished: make(chan struct{})}
	st.cond.L = &st.mu
	for ch := range st.in {
		st.in[ch] = in{st: st, ch: byte(ch), room: firstWindow, window: firstWindow}
		st.out[ch] = out{st: st, ch: byte(ch), credit: firstWindow}
	}
	return st
}

// end ends the stream without a result.
func (st *stream) end(err error) { st.finish(nil, err) }

// finish ends the stream: received data can still be read, nothing more is sent.
func (st *stream) finish(result []byte, err error) {
	st.mu.Lock()
	if st.over {
		st.mu.Unlock()
		return
	}
	st.over, st.err, st.result = true, err, result
	var grown int64
	for ch := range st.in {
		in := &st.in[ch]
		in.eof = true
		if in.err == nil {
			in.err = err
		}
		grown += in.window - firstWindow
		if o := &st.out[ch]; !o.closed {
			o.closed, o.err = true, err
		}
	}
	last := st.pumps == 0
	cancel, onEnd := st.cancel, st.onEnd
	st.cond.Broadcast()
	st.mu.Unlock()
	st.s.growth.Add(-grown)
	close(st.ended)
	if last {
		close(st.finished)
	}
	if cancel != nil {
		cancel(err)
	}
	if onEnd != nil {
		onEnd()
	}
}

// in is a channel with incoming data.
type in struct {
	st      *stream
	ch      byte
	sink    io.Writer // where a pump writes the data; nil: there is a reader
	pumping bool
	queue   []*buffer
	room    int64 // bytes that the peer may still send
	window  int64 // bytes that it may send while nothing is taken
	taken   int64 // bytes taken since the last credit
	eof     bool  // nothing more will come
	closed  bool  // nothing more is wanted
	expired bool  // the read deadline has passed
	err     error // what a reader gets after the data, instead of EOF
}

// receive reads n bytes of data for a channel.
func (st *stream) receive(r *bufio.Reader, ch, n int) error {
	in := &st.in[ch]
	st.mu.Lock()
	if !st.s.receives(in.ch) || int64(n) > in.room || in.eof && !st.over {
		st.mu.Unlock()
		return protocolError("%d bytes on channel %d, without credit or after its end", n, ch)
	}
	in.room -= int64(n)
	unwanted := in.closed || st.over
	st.mu.Unlock()
	if unwanted || n == 0 {
		_, err := r.Discard(n)
		return err
	}
	// small enough to be copied behind waiting data, so that many small frames need little memory
	if n <= r.Size() {
		p, err := r.Peek(n)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		st.mu.Lock()
		if k := len(in.queue); k > 0 && in.queue[k-1].room() >= n {
			b := in.queue[k-1]
			b.b = append(b.b, p...)
		} else {
			b := getBuffer()
			b.b = append(b.b, p...)
			in.queue = append(in.queue, b)
		}
		r.Discard(n)
	} else {
		b := getBuffer()
		b.b = b.b[:n]
		if _, err := io.ReadFull(r, b.b); err != nil {
			b.free()
			return io.ErrUnexpectedEOF
		}
		st.mu.Lock()
		in.queue = append(in.queue, b)
	}
	if in.closed {
		in.dropLocked()
	}
	if in.sink != nil && !in.pumping && !in.closed && !st.over {
		in.pumping = true
		st.pumps++
		go st.pump(in)
	}
	st.cond.Broadcast()
	st.mu.Unlock()
	return nil
}

// receiveEOF marks a channel as ended. It is a protocol error if this side is the one that sends
// there.
func (st *stream) receiveEOF(ch int) error {
	if !st.s.receives(byte(ch)) {
		return protocolError("an end of what this side sends")
	}
	st.mu.Lock()
	st.in[ch].eof = true
	st.cond.Broadcast()
	st.mu.Unlock()
	return nil
}

func (in *in) dropLocked() {
	for _, b := range in.queue {
		b.free()
	}
	in.queue = nil
}

// waitLocked waits for data, or returns why there will be none.
func (in *in) waitLocked() error {
	for len(in.queue) == 0 {
		switch {
		case in.closed && in.err == nil:
			return io.ErrClosedPipe
		case in.closed, in.eof && in.err != nil:
			return in.err
		case in.eof:
			return io.EOF
		case in.expired:
			return os.ErrDeadlineExceeded
		}
		in.st.cond.Wait()
	}
	if in.expired {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// next takes the first buffer.
func (in *in) next() (*buffer, error) {
	in.st.mu.Lock()
	defer in.st.mu.Unlock()
	if err := in.waitLocked(); err != nil {
		return nil, err
	}
	b := in.queue[0]
	copy(in.queue, in.queue[1:])
	in.queue = in.queue[:len(in.queue)-1]
	return b, nil
}

// took gives the peer credit for n bytes. A reader that keeps up gets a larger window.
func (in *in) took(n int) {
	st := in.st
	st.mu.Lock()
	in.taken += int64(n)
	if in.eof || in.closed || in.taken < in.window/2 {
		st.mu.Unlock()
		return
	}
	grant := in.taken
	in.taken = 0
	if len(in.queue) == 0 && in.window < maxWindow {
		if st.s.growth.Add(in.window) <= maxGrowth {
			grant += in.window
			in.window *= 2
		} else {
			st.s.growth.Add(-in.window)
		}
	}
	in.room += grant
	st.mu.Unlock()
	var body [4]byte
	binary.BigEndian.PutUint32(body[:], uint32(grant))
	st.s.post(kindCredit, in.ch, st.id, body[:])
}

// Read takes data; it returns EOF at the channel's end, or why the stream ended early.
func (in *in) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	st := in.st
	st.mu.Lock()
	if err := in.waitLocked(); err != nil {
		st.mu.Unlock()
		return 0, err
	}
	b := in.queue[0]
	n := copy(p, b.b[b.off:])
	if b.off += n; b.off == len(b.b) {
		copy(in.queue, in.queue[1:])
		in.queue = in.queue[:len(in.queue)-1]
		b.free()
	}
	st.mu.Unlock()
	in.took(n)
	return n, nil
}

// WriteTo writes all incoming data to w, without copying it.
func (in *in) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		b, err := in.next()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		p := b.b[b.off:]
		n, err := w.Write(p)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		n = len(p)
		b.free()
		in.took(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// stop ends the channel and drops waiting data. Readers get err; nil stands for io.ErrClosedPipe.
func (in *in) stop(err error) {
	st := in.st
	st.mu.Lock()
	tell := !in.closed && !in.eof && !st.over
	if !in.closed {
		in.closed, in.err = true, err
	}
	in.dropLocked()
	st.cond.Broadcast()
	st.mu.Unlock()
	if tell {
		st.s.post(kindReset, in.ch, st.id, nil)
	}
}

// pump writes a channel's data to its sink. A sink that fails ends the channel, not the stream.
func (st *stream) pump(in *in) {
	_, err := in.WriteTo(in.sink)
	st.mu.Lock()
	if err != nil && !in.closed && in.err == nil && st.sinkErr == nil {
		st.sinkErr = err
	}
	st.mu.Unlock()
	if err != nil {
		in.stop(err)
	}
	st.mu.Lock()
	st.pumps--
	last := st.pumps == 0 && st.over
	st.mu.Unlock()
	if last {
		close(st.finished)
	}
}

// out is a channel with outgoing data.
type out struct {
	st      *stream
	ch      byte
	credit  int64
	flying  int // buffers of its data that wait to be written
	closed  bool
	expired bool  // the write deadline has passed
	err     error // why it is closed
}

// credit adds a peer's credit.
func (st *stream) credit(ch int, n int64) error {
	if st.s.receives(byte(ch)) {
		return protocolError("credit for what the other side sends itself")
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	o := &st.out[ch]
	if o.credit += n; o.credit > maxCredit {
		return protocolError("credit of %d bytes", o.credit)
	}
	st.cond.Broadcast()
	return nil
}

// written is called when a buffer with data of this channel was written.
func (o *out) written() {
	o.st.mu.Lock()
	o.flying--
	o.st.cond.Broadcast()
	o.st.mu.Unlock()
}

// reserve waits for credit and takes the right to send up to want bytes.
func (o *out) reserve(want int) (int, error) {
	o.st.mu.Lock()
	defer o.st.mu.Unlock()
	for {
		switch {
		case o.closed && o.err != nil:
			return 0, o.err
		case o.closed:
			return 0, io.ErrClosedPipe
		case o.expired:
			return 0, os.ErrDeadlineExceeded
		case o.credit > 0 && o.flying < maxFlying:
			n := min(int64(want), o.credit)
			o.credit -= n
			return int(n), nil
		}
		o.st.cond.Wait()
	}
}

// queue queues n bytes of data in b, which it owns then, when the session has room for them.
func (o *out) queue(b *buffer, n int) error {
	st := o.st
	st.mu.Lock()
	for !st.s.makeRoom(st, n) {
		var err error
		switch {
		case o.closed && o.err != nil:
			err = o.err
		case o.closed:
			err = io.ErrClosedPipe
		case o.expired:
			o.credit += int64(n)
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			st.mu.Unlock()
			b.free()
			return err
		}
		st.cond.Wait()
	}
	st.mu.Unlock()
	st.s.postData(o, b, n)
	return nil
}

// Write sends p, and waits for credit.
func (o *out) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n, err := o.reserve(min(len(p), maxData))
		if err != nil {
			return total, err
		}
		b := getBuffer()
		b.b = append(b.b[:headerLen], p[:n]...)
		if err := o.queue(b, n); err != nil {
			return total, err
		}
		p = p[n:]
		total += n
	}
	return total, nil
}

// ReadFrom sends all that r has, and reads it right into the frames.
func (o *out) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		room, err := o.reserve(maxData)
		if err != nil {
			return total, err
		}
		b := getBuffer()
		n, err := r.Read(b.b[headerLen : headerLen+room])
		if n < room {
			o.st.mu.Lock()
			o.credit += int64(room - n)
			o.st.mu.Unlock()
		}
		if n > 0 {
			if err := o.queue(b, n); err != nil {
				return total, err
			}
			total += int64(n)
		} else {
			b.free()
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// close ends the channel on this side, without telling the other.
func (o *out) close(err error) {
	o.st.mu.Lock()
	if !o.closed {
		o.closed, o.err = true, err
		o.st.cond.Broadcast()
	}
	o.st.mu.Unlock()
}

// eof tells the other side that no more data comes. Writers get err from then on.
func (o *out) eof(err error) {
	o.st.mu.Lock()
	first := !o.closed
	o.closed, o.err = true, err
	o.st.cond.Broadcast()
	o.st.mu.Unlock()
	if first {
		o.st.s.post(kindEOF, o.ch, o.st.id, nil)
	}
}
