package agent

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
)

const (
	readAhead = 32 << 10 // bytes of the buffered reader; longer data is read in place
	// bytes of unread answers beyond which no more of a peer's requests are read
	maxQueued  = 8 << 20
	maxUnread  = 64 << 20 // bytes of requests that a client queues for a peer that does not read
	maxGrowth  = 32 << 20 // bytes by which all windows of a session together may grow
	maxWaiting = 32 << 20 // bytes of all streams' data that wait to be written
)

// session is one side of a connection: its queue of frames, its streams, and the two loops that
// write and read. Its methods may be called from many goroutines.
type session struct {
	rwc    io.ReadWriteCloser
	server bool
	// handles the frames that only one side gets
	control func(s *session, st *stream, kind, ch byte, id uint32, body []byte) error
	// 1 slot: the queue is not empty, or the session ends
	wake chan struct{}
	// closed when it has ended
	done chan struct{}
	// bytes by which all windows have grown
	growth atomic.Int64

	mu          sync.Mutex
	room        sync.Cond // the queue became shorter, or the session ended
	queue       []*buffer
	queued      int              // bytes in queue and being written
	waiting     int              // bytes of data among them, and of data about to be queued
	congested   map[*stream]bool // streams that wait until there are fewer
	streams     map[uint32]*stream
	next        uint32 // the number of our next stream
	highestPeer uint32 // the highest number of the peer's streams
	err         error  // why it ended; nil: it lives
}

// newSession returns a session that nothing reads or writes yet. A server numbers its streams
// evenly and a client oddly.
func newSession(rwc io.ReadWriteCloser, server bool) *session {
	s := &session{
		rwc: rwc, server: server, wake: make(chan struct{}, 1), done: make(chan struct{}),
		streams: make(map[uint32]*stream), congested: make(map[*stream]bool),
	}
	s.next = 1
	if server {
		s.next = 2
	}
	s.room.L = &s.mu
	return s
}

// fail ends the session and all its streams; the first reason counts.
func (s *session) fail(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	streams := s.streams
	s.streams = make(map[uint32]*stream)
	s.room.Broadcast()
	s.mu.Unlock()
	close(s.done)
	s.wakeWriter()
	s.rwc.Close()
	for _, st := range streams {
		st.end(err)
	}
}

// cause returns why the session ended; nil: it lives.
func (s *session) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// lost returns err as ErrLost, unless it is one already or a conflict.
func lost(err error) error {
	if errors.Is(err, compute.ErrLost) || errors.Is(err, compute.ErrConflict) {
		return err
	}
	if err == io.EOF || err == nil {
		err = errors.New("the connection ended")
	}
	return &compute.Error{Op: "agent", Kind: compute.ErrLost, Err: err}
}

func (s *session) wakeWriter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// add makes a stream of the given number, 0 for the next of our own. prepare gets it before any
// other goroutine, and first sends its first frame; either may be nil. add fails when the session
// has ended.
func (s *session) add(id uint32, prepare func(*stream), first func(*stream)) (*stream, error) {
	st := newStream(s)
	if prepare != nil {
		prepare(st)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if id == 0 {
		if s.next > 1<<32-3 {
			return nil, lost(errors.New("the connection's numbers are used up"))
		}
		id = s.next
		s.next += 2
	}
	st.id = id
	s.streams[id] = st
	if first != nil {
		first(st) // under the lock: streams are opened in the order of their numbers
	}
	return st, nil
}

// drop forgets a stream: later frames for it are ignored.
func (s *session) drop(st *stream) {
	s.mu.Lock()
	delete(s.streams, st.id)
	s.mu.Unlock()
}

// post queues a frame. It never waits.
func (s *session) post(kind, ch byte, id uint32, body []byte) {
	s.mu.Lock()
	s.postLocked(kind, ch, id, body, nil)
	s.mu.Unlock()
	s.wakeWriter()
}

// postLocked queues one frame; s.mu is held. A non-nil owner is counted as flying once for each
// buffer. After an error of the session it does nothing.
func (s *session) postLocked(kind, ch byte, id uint32, body []byte, owner *out) {
	if s.err != nil {
		return
	}
	need := headerLen + len(body)
	b := s.tail(need)
	n := len(b.b)
	b.b = b.b[:n+headerLen]
	putHeader(b.b[n:], kind, ch, id, len(body))
	b.b = append(b.b, body...)
	s.queued += need
	if owner != nil && (len(b.owners) == 0 || b.owners[len(b.owners)-1] != owner) {
		b.owners = append(b.owners, owner)
		owner.flying++
	}
	if owner != nil {
		b.data += len(body)
	}
}

// tail returns the last queued buffer if it takes need bytes more, else a new one.
func (s *session) tail(need int) *buffer {
	if n := len(s.queue); n > 0 && s.queue[n-1].room() >= need {
		return s.queue[n-1]
	}
	b := getBuffer()
	if need > cap(b.b) {
		b.free()
		b = &buffer{b: make([]byte, 0, need)}
	}
	s.queue = append(s.queue, b)
	return b
}

// small is the size up to which data is copied behind other frames, so that one write sends them
// together.
const small = 4 << 10

// makeRoom counts n bytes of data that are about to be queued. It returns false if too many bytes
// wait already; the stream's cond wakes it when there are fewer. The stream's lock is held.
func (s *session) makeRoom(st *stream, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.waiting+n > maxWaiting {
		s.congested[st] = true
		return false
	}
	s.waiting += n
	return true
}

// wrote counts data out that was written or never will be.
func (s *session) wrote(n int) {
	s.mu.Lock()
	s.waiting -= n
	var woken map[*stream]bool
	// not for each frame, as there may be a thousand
	if len(s.congested) > 0 && (s.waiting <= maxWaiting/2 || s.err != nil) {
		woken, s.congested = s.congested, make(map[*stream]bool)
	}
	s.mu.Unlock()
	for st := range woken {
		st.mu.Lock()
		st.cond.Broadcast()
		st.mu.Unlock()
	}
}

// postData queues n bytes of data that makeRoom has counted. They stand in b behind room for a
// header. The session owns b after that.
func (s *session) postData(o *out, b *buffer, n int) {
	st := o.st
	st.mu.Lock() // before s.mu, always: flying is counted under it
	s.mu.Lock()
	switch {
	case s.err != nil:
		b.free()
	case n <= small:
		s.postLocked(kindData, o.ch, st.id, b.b[headerLen:headerLen+n], o)
		b.free()
	default:
		b.b = b.b[:headerLen+n]
		putHeader(b.b, kindData, o.ch, st.id, n)
		b.data = n
		b.owners = append(b.owners, o)
		o.flying++
		s.queue = append(s.queue, b)
		s.queued += headerLen + n
	}
	s.mu.Unlock()
	st.mu.Unlock()
	s.wakeWriter()
}

// write is the loop that writes what is queued, until the session ends.
func (s *session) write() {
	var batch, spare []*buffer
	for {
		s.mu.Lock()
		batch, s.queue = s.queue, spare[:0]
		ended := s.err != nil
		s.mu.Unlock()
		if ended {
			for _, b := range batch {
				b.free()
			}
			return
		}
		if len(batch) == 0 {
			<-s.wake
			spare = batch
			continue
		}
		for i, b := range batch {
			n := len(b.b)
			if _, err := s.rwc.Write(b.b); err != nil {
				s.fail(lost(err))
			}
			for _, o := range b.owners {
				o.written()
			}
			if b.data > 0 {
				s.wrote(b.data)
			}
			b.free()
			batch[i] = nil
			s.mu.Lock()
			s.queued -= n
			s.room.Broadcast()
			s.mu.Unlock()
		}
		spare = batch
	}
}

// flush waits until all queued frames were written, the session ended, or d has passed.
func (s *session) flush(d time.Duration) {
	t := time.AfterFunc(d, func() { s.fail(lost(errors.New("the other side does not read"))) })
	defer t.Stop()
	s.waitRoom(0)
}

// waitRoom waits until no more than limit bytes are queued.
func (s *session) waitRoom(limit int) {
	s.mu.Lock()
	for s.queued > limit && s.err == nil {
		s.room.Wait()
	}
	s.mu.Unlock()
}

// read is the loop that reads frames, until the byte stream ends or the peer breaks the protocol.
// The hello has been read before.
func (s *session) read(r *bufio.Reader) error {
	var scratch []byte
	for {
		h, err := r.Peek(headerLen)
		if err != nil {
			if err == io.EOF && len(h) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		kind, ch, id, n := header(h)
		r.Discard(headerLen)
		if kind < kindOpen || kind > kindResult || ch > 2 {
			return protocolError("a frame of kind %d", kind)
		}
		st, err := s.find(id, kind)
		if err != nil {
			return err
		}
		if kind == kindData {
			if n > maxData {
				return protocolError("a data frame of %d bytes", n)
			}
			if st == nil {
				_, err = r.Discard(n)
			} else {
				err = st.receive(r, int(ch), n)
			}
			if err != nil {
				return err
			}
			continue
		}
		if n > maxControl && (kind != kindOpen || n > maxRequest) {
			return protocolError("a frame of %d bytes", n)
		}
		var body []byte
		if n <= r.Size() {
			if body, err = r.Peek(n); err != nil {
				return io.ErrUnexpectedEOF
			}
		} else {
			scratch = make([]byte, n)
			if _, err = io.ReadFull(r, scratch); err != nil {
				return io.ErrUnexpectedEOF
			}
			body = scratch
		}
		if err := s.take(st, kind, ch, id, body); err != nil {
			return err
		}
		if n <= r.Size() {
			r.Discard(n)
		}
	}
}

// find returns the stream of a frame; nil for one that has ended already, or that the frame opens.
func (s *session) find(id uint32, kind byte) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[id]; st != nil {
		if kind == kindOpen {
			return nil, protocolError("stream %d is opened twice", id)
		}
		return st, nil
	}
	ours := id%2 == 0 == s.server
	if kind == kindOpen {
		if !s.server || ours || id <= s.highestPeer {
			return nil, protocolError("stream %d may not be opened", id)
		}
		s.highestPeer = id
		return nil, nil
	}
	if id == 0 || ours && id >= s.next || !ours && id > s.highestPeer {
		return nil, protocolError("stream %d was never opened", id)
	}
	return nil, nil
}

// take handles a frame without data.
func (s *session) take(st *stream, kind, ch byte, id uint32, body []byte) error {
	if st == nil && kind == kindAccept && !s.server {
		return s.takeLate(body)
	}
	if st == nil && kind != kindOpen {
		return nil // it ended while the frame was on its way
	}
	switch kind {
	case kindEOF:
		return st.receiveEOF(int(ch))
	case kindReset:
		if s.receives(ch) {
			return protocolError("a reset of what it sends itself")
		}
		st.out[ch].close(io.ErrClosedPipe)
		return nil
	case kindCredit:
		if len(body) != 4 {
			return protocolError("credit of %d bytes", len(body))
		}
		return st.credit(int(ch), int64(binary.BigEndian.Uint32(body)))
	}
	return s.control(s, st, kind, ch, id, body)
}

// takeLate handles a connection for a listener that was given up: only its number counts.
func (s *session) takeLate(body []byte) error {
	if len(body) < 4 {
		return protocolError("a connection that is not well formed")
	}
	num := binary.BigEndian.Uint32(body)
	if err := s.see(num); err != nil {
		return err
	}
	s.post(kindCancel, 0, num, nil)
	return nil
}

// see checks and records the number of a stream that the server opens.
func (s *session) see(num uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if num == 0 || num%2 != 0 {
		return protocolError("a connection that is not well formed")
	}
	if num <= s.highestPeer {
		return protocolError("stream %d is opened twice", num)
	}
	s.highestPeer = num
	return nil
}

// receives reports whether data of the channel comes to this side.
func (s *session) receives(ch byte) bool { return ch == 0 == s.server }
