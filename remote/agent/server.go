package agent

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Options say how to serve. The zero value is good.
type Options struct {
	Streams int // commands, copies and connections at a time; 0: 1024
}

const (
	maxReason   = 1 << 10  // bytes of Exit.Reason
	maxRequests = 64 << 20 // bytes of all requests under way
	// connections of a listener that the client has not accepted yet
	backlog = 16
	// time for the last answers to be read, and for a byte stream that outlives its Close
	drain     = time.Second
	lastWords = 500 * time.Millisecond // for the output of a command that was cancelled
)

// Serve offers conn to the client at the other end of rwc, until the byte stream or ctx ends. Then
// it cancels all that it started for the client, and returns when that has ended. It closes rwc and
// leaves conn open. If the cause of ctx's end is a compute.Error, the client's ErrLost has it as
// its cause. The error is nil when the client ended the connection, ctx's when ctx ended,
// ErrConflict for a client of another version, else ErrLost.
func Serve(ctx context.Context, rwc io.ReadWriteCloser, conn compute.Conn, opt Options) error {
	if opt.Streams <= 0 {
		opt.Streams = 1024
	}
	s := newSession(rwc, true)
	v := &server{s: s, conn: conn, opt: opt}
	v.ctx, v.stop = context.WithCancelCause(ctx)
	defer v.stop(nil)
	s.control = v.control

	read := make(chan error, 1)
	go func() { read <- v.read() }()
	writing := make(chan struct{})
	go func() { s.write(); close(writing) }()

	var err error
	select {
	case err = <-read:
		if err == io.EOF {
			err = nil
		} else if s.cause() == nil {
			// answer the waiting requests before the close: another version, a broken rule
			s.flush(drain)
		}
		s.fail(lost(err))
		read = nil
	case <-s.done:
		err = s.cause()
	case <-ctx.Done():
		err = ctx.Err()
	}
	v.close()
	cause := context.Cause(ctx) // why the end is wanted, or
	if cause == nil {
		cause = lost(err) // the client is gone, and a command that is held stays
	}
	v.stop(cause)
	v.cancelAll(cause)
	v.work.Wait()
	s.flush(drain)
	s.fail(lost(err))
	await(writing)
	if read != nil {
		select {
		case <-read:
		case <-time.After(drain):
		}
	}
	if err != nil && ctx.Err() == nil {
		err = lost(err)
	}
	return err
}

// await waits for a loop of an ended session. It does not wait for ever, as closing some byte
// streams does not wake their reader.
func await(done <-chan struct{}) {
	t := time.NewTimer(drain)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

type server struct {
	s    *session
	conn compute.Conn
	opt  Options
	ctx  context.Context // of all that is started for the client
	stop context.CancelCauseFunc
	work sync.WaitGroup

	mu     sync.Mutex
	closed bool // nothing more is started
	count  int  // streams
	bytes  int  // of requests
}

// read greets the client and reads its frames.
func (v *server) read() error {
	r := bufio.NewReaderSize(v.s.rwc, readAhead)
	h, err := r.Peek(helloLen)
	if err != nil && len(h) == 0 {
		return err
	}
	theirs, err := checkHello(h)
	if err != nil {
		return lost(err)
	}
	v.greet()
	if theirs != Version {
		return versionError(theirs)
	}
	r.Discard(helloLen)
	return v.s.read(r)
}

// greet queues this side's hello, before anything else.
func (v *server) greet() {
	v.s.mu.Lock()
	b := v.s.tail(helloLen)
	b.b = append(b.b, hello(Version)...)
	v.s.queued += helloLen
	v.s.mu.Unlock()
	v.s.wakeWriter()
}

func (v *server) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
}

// begin counts a new stream, or refuses it when there are too many.
func (v *server) begin(bytes int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return v.ending()
	}
	if v.count >= v.opt.Streams || v.bytes+bytes > maxRequests {
		return &compute.Error{
			Op: "agent", Kind: compute.ErrNoCapacity,
			Err: fmt.Errorf("%d things are going on on this connection", v.count),
		}
	}
	v.count++
	v.bytes += bytes
	v.work.Add(1)
	return nil
}

// ending is why nothing goes on here, with the cause of the context's end if it names one.
func (v *server) ending() error {
	var said *compute.Error
	if errors.As(context.Cause(v.ctx), &said) {
		return &compute.Error{Op: "agent", Kind: compute.ErrLost, Err: said}
	}
	return &compute.Error{Op: "agent", Kind: compute.ErrLost, Err: errors.New("the other side is ending")}
}

func (v *server) finished(bytes int) {
	v.mu.Lock()
	v.count--
	v.bytes -= bytes
	v.mu.Unlock()
	v.work.Done()
}

// control handles the frames that only a server gets.
func (v *server) control(s *session, st *stream, kind, ch byte, id uint32, body []byte) error {
	switch kind {
	case kindOpen:
		req := decodeRequest(body)
		if req == nil {
			return protocolError("a request that is not well formed")
		}
		n := len(body)
		s.waitRoom(maxQueued) // a client that never reads its answers is not read further
		if err := v.begin(n); err != nil {
			s.post(kindResult, 0, id, appendError(nil, err, 0))
			return nil
		}
		ctx, cancel := context.WithCancelCause(v.ctx)
		st, err := s.add(id, func(st *stream) {
			st.cancel = cancel
			st.in[0].closed = req.op == opRun && !req.stdin
			if req.signals {
				st.signals = make(chan string, backlog)
			}
			if req.resize {
				st.resize = make(chan compute.Size, 1)
			}
			if req.op == opListen {
				st.out[1].credit = backlog
			}
		}, nil)
		if err != nil {
			cancel(nil)
			v.finished(n)
			return err
		}
		v.late(st)
		go func() {
			defer v.finished(n)
			v.serve(ctx, st, req)
		}()
	case kindCancel:
		var cause error
		if len(body) > 0 && body[0] == leave {
			cause = lost(errClientGone)
		}
		v.cancel(st, cause)
	case kindSignal:
		if st.signals != nil && len(body) <= 16 {
			select {
			case st.signals <- string(body):
			default: // the queue is full: one more unread signal says nothing new
			}
		}
	case kindResize:
		d := &decoder{b: body}
		size := d.size()
		if !d.end() {
			return protocolError("a size that is not well formed")
		}
		if st.resize != nil {
			select { // only the last size counts
			case <-st.resize:
			default:
			}
			st.resize <- size
		}
	default:
		return protocolError("a frame of kind %d from a client", kind)
	}
	return nil
}

// cancelAll cancels all streams. A stream that is being added sees that v.ctx has ended.
func (v *server) cancelAll(cause error) {
	v.s.mu.Lock()
	var all []*stream
	for _, st := range v.s.streams {
		all = append(all, st)
	}
	v.s.mu.Unlock()
	for _, st := range all {
		v.cancel(st, cause)
	}
}

// late cancels a stream that was added when all others had been cancelled already.
func (v *server) late(st *stream) {
	if v.ctx.Err() != nil {
		v.cancel(st, context.Cause(v.ctx))
	}
}

// cancel ends the work of a stream; cause becomes its context's cause. A command's output until
// then still goes out, if the client reads it soon.
func (v *server) cancel(st *stream, cause error) {
	st.mu.Lock()
	again := st.cancelled
	st.cancelled = true
	st.mu.Unlock()
	if again {
		return
	}
	st.cancel(cause)
	st.in[0].stop(context.Canceled)
	t := time.AfterFunc(lastWords, func() {
		for ch := range st.out {
			st.out[ch].close(context.Canceled)
		}
	})
	st.mu.Lock()
	st.onEnd = func() { t.Stop() }
	st.mu.Unlock()
}

// serve does the work of a request, and sends the result.
func (v *server) serve(ctx context.Context, st *stream, req *request) {
	var exit compute.Exit
	var err error
	switch req.op {
	case opRun:
		exit, err = v.run(ctx, st, req)
	case opPut:
		in := &st.in[0]
		if err = v.conn.Put(ctx, req.path, in); err == nil {
			// the bytes after the archive's end, so that the client's writer does not hang
			_, err = in.WriteTo(io.Discard)
		}
	case opGet:
		err = v.conn.Get(ctx, req.path, &st.out[1])
	case opDial:
		err = v.dial(ctx, st, req)
	case opListen:
		err = v.listen(ctx, st, req)
	case opSpace:
		err = v.workspace(ctx, st, req)
	case opFacts, opUsage:
		err = v.sendFacts(ctx, st, req.op)
	case opHeld:
		err = v.listHeld(ctx, st)
	}
	if err != nil && v.ctx.Err() != nil {
		err = v.ending()
	}
	v.result(st, exit, err)
}

// result ends a stream with its result.
func (v *server) result(st *stream, exit compute.Exit, err error) {
	st.cancel(nil)
	body := appendError(make([]byte, 0, 64), err, 0)
	if err == nil {
		body = appendUint(body, uint64(min(max(exit.Code, 0), 255)))
		body = appendString(body, exit.Signal)
		body = appendString(body, exit.Reason[:min(len(exit.Reason), maxReason)])
	}
	if len(body) > maxControl {
		body = appendError(body[:0], &plainError{text: err.Error(), is: []error{err}}, 0)
	}
	v.s.drop(st)
	st.end(errEnded)
	st.in[0].stop(errEnded)
	v.s.post(kindResult, 0, st.id, body)
}

// errEnded is the error for a backend's goroutine that uses a stream after its end.
var errEnded = errors.New("the command has ended")

// run runs the request's command on the connection, with the streams that the request opened.
func (v *server) run(ctx context.Context, st *stream, req *request) (compute.Exit, error) {
	cmd := &req.cmd
	if req.stdin {
		cmd.Stdin = &st.in[0]
	}
	if req.stdout {
		cmd.Stdout = &st.out[1]
	}
	if req.stderr {
		if cmd.Stderr = &st.out[2]; req.one {
			cmd.Stderr = cmd.Stdout
		}
	}
	cmd.Signals, cmd.Resize = st.signals, st.resize
	if err := v.prepareHold(st, cmd); err != nil {
		return compute.Exit{}, err
	}
	return v.conn.Run(ctx, cmd)
}

// dial connects to the request's address, replies with the address of the other end, and copies
// until the end.
func (v *server) dial(ctx context.Context, st *stream, req *request) error {
	d, ok := provider.As[provider.Dialer](v.conn)
	if !ok {
		return errNoForward
	}
	nc, err := d.Dial(ctx, req.network, req.address)
	if err != nil {
		return err
	}
	v.s.post(kindReply, 0, st.id, appendString(nil, addressOf(nc.RemoteAddr())))
	return pipe(ctx, st, nc)
}

var errNoForward = &compute.Error{
	Op: "agent", Kind: compute.ErrInvalid, Err: errors.New("this way into the computer cannot forward connections"),
}

func addressOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// pipe joins a stream and a connection until both directions have ended, then closes the
// connection.
func pipe(ctx context.Context, st *stream, nc net.Conn) error {
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	in, o := &st.in[0], &st.out[1]
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := in.WriteTo(nc); err != nil {
			in.stop(err)
			if errors.Is(err, context.Canceled) {
				nc.Close()
			}
			return
		}
		if c, ok := nc.(interface{ CloseWrite() error }); ok {
			c.CloseWrite()
		}
		// the client may have closed its end completely: then nobody waits for the other side's
		// data
		o.wait()
		nc.Close()
	}()
	_, err := o.ReadFrom(nc)
	if err != nil {
		in.stop(err)
	}
	o.eof(io.ErrClosedPipe)
	<-sent
	return nil
}

// wait waits until the channel is closed.
func (o *out) wait() {
	o.st.mu.Lock()
	for !o.closed {
		o.st.cond.Wait()
	}
	o.st.mu.Unlock()
}

// listen serves a listener: each accepted connection becomes a stream to the client.
func (v *server) listen(ctx context.Context, st *stream, req *request) error {
	d, ok := provider.As[provider.Listener](v.conn)
	if !ok {
		return errNoForward
	}
	l, err := d.Listen(ctx, req.network, req.address)
	if err != nil {
		return err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() {
		l.Close()
		st.out[1].close(context.Canceled)
	})()
	v.s.post(kindReply, 0, st.id, appendString(nil, addressOf(l.Addr())))
	for pause := time.Duration(0); ; {
		if _, err := st.out[1].reserve(1); err != nil {
			return err
		}
		nc, err := l.Accept()
		if err != nil && passing(err) && ctx.Err() == nil {
			st.out[1].refund(1)
			pause = min(max(2*pause, 5*time.Millisecond), drain)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			return err
		}
		pause = 0
		if err := v.begin(0); err != nil { // as if nobody had accepted: the next may find room
			nc.Close()
			st.out[1].refund(1)
			continue
		}
		ctx, cancel := context.WithCancelCause(v.ctx)
		conn, err := v.s.add(0, func(conn *stream) { conn.cancel = cancel }, func(conn *stream) {
			body := binary.BigEndian.AppendUint32(nil, conn.id)
			v.s.postLocked(kindAccept, 0, st.id, appendString(body, addressOf(nc.RemoteAddr())), nil)
		})
		if err != nil {
			cancel(nil)
			nc.Close()
			v.finished(0)
			return err
		}
		v.s.wakeWriter()
		v.late(conn)
		go func() {
			defer v.finished(0)
			v.result(conn, compute.Exit{}, pipe(ctx, conn, nc))
		}()
	}
}

// passing reports whether a listener may accept again after an error: it was one connection's
// trouble, or a resource was short.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// refund returns the unused part of a reservation.
func (o *out) refund(n int) {
	o.st.mu.Lock()
	o.credit += int64(n)
	o.st.mu.Unlock()
}
