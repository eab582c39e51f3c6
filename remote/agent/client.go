package agent

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// grace is how long Run waits for the end of a command that was told to end.
const grace = 5 * time.Second

// Client is a compute.Conn whose work is done by Serve at the other end of a stream of bytes. It is
// also a Dialer and a Listener, which return ErrInvalid where the other end cannot forward. Its
// methods may be called from many goroutines.
type Client struct {
	s      *session
	greet  sync.Once
	launch sync.Once
	loops  sync.WaitGroup
}

var (
	_ compute.Conn      = (*Client)(nil)
	_ provider.Dialer   = (*Client)(nil)
	_ provider.Listener = (*Client)(nil)
)

// New makes a client over rwc, which it owns from then on. It sends nothing and starts nothing: the
// first request goes out together with the greeting. If the peer is no agent, or of another
// version, the first request fails (ErrLost, ErrConflict).
func New(rwc io.ReadWriteCloser) *Client {
	c := &Client{s: newSession(rwc, false)}
	c.s.control = c.control
	return c
}

// start starts the loops that write and read. Close ends both.
func (c *Client) start() {
	c.launch.Do(func() {
		c.loops.Add(2)
		go func() {
			defer c.loops.Done()
			c.s.write()
		}()
		go func() {
			defer c.loops.Done()
			c.s.fail(lost(c.read()))
		}()
	})
}

// read checks the greeting of the other side, then reads frames until the connection ends.
func (c *Client) read() error {
	r := bufio.NewReaderSize(c.s.rwc, readAhead)
	h, err := r.Peek(helloLen)
	if len(h) < helloLen {
		if err != io.EOF && err != nil {
			return err
		}
		_, err := checkHello(h)
		return err
	}
	theirs, err := checkHello(h)
	if err != nil {
		// the message of a login shell or ssh is worth more than its first eight bytes
		h, _ = r.Peek(min(r.Buffered(), 200))
		_, err = checkHello(h)
		return err
	}
	if theirs != Version {
		return versionError(theirs)
	}
	r.Discard(helloLen)
	return c.s.read(r)
}

// Done is closed when the connection has ended, for whatever reason.
func (c *Client) Done() <-chan struct{} { return c.s.done }

// Close ends the connection and all that runs through it. Bytes that were written to dialled
// connections before they were closed still go out.
func (c *Client) Close() error {
	c.linger()
	c.s.fail(&compute.Error{Op: "agent", Kind: compute.ErrLost, Err: errors.New("the connection was closed")})
	c.launch.Do(func() {}) // nothing is started any more
	ended := make(chan struct{})
	go func() { c.loops.Wait(); close(ended) }()
	await(ended)
	return nil
}

// linger waits, for a moment, until the closed connections have delivered their data.
func (c *Client) linger() {
	c.s.mu.Lock()
	var closing []*stream
	for _, st := range c.s.streams {
		if st.client.closing.Load() {
			closing = append(closing, st)
		}
	}
	c.s.mu.Unlock()
	if len(closing) == 0 {
		return
	}
	t := time.NewTimer(drain)
	defer t.Stop()
	for _, st := range closing {
		select {
		case <-st.ended:
		case <-t.C:
			return
		}
	}
}

// open makes a stream and sends its request.
func (c *Client) open(body []byte, prepare func(*stream)) (*stream, error) {
	if len(body) > maxRequest {
		return nil, &compute.Error{Op: "agent", Kind: compute.ErrCannotStart, Err: errors.New("argument list too long")}
	}
	s := c.s
	c.greet.Do(func() {
		s.mu.Lock()
		b := s.tail(helloLen)
		b.b = append(b.b, hello(Version)...)
		s.queued += helloLen
		s.mu.Unlock()
	})
	full := false
	st, err := s.add(0, prepare, func(st *stream) {
		if full = s.queued > maxUnread; !full {
			s.postLocked(kindOpen, 0, st.id, body, nil)
		}
	})
	if err != nil {
		return nil, err
	}
	if full {
		s.drop(st)
		return nil, lost(errors.New("the other side does not read"))
	}
	c.start()
	s.wakeWriter()
	return st, nil
}

// control handles the frames that only a client gets.
func (c *Client) control(s *session, st *stream, kind, ch byte, id uint32, body []byte) error {
	switch kind {
	case kindResult:
		if len(body) == 0 {
			return protocolError("an empty result")
		}
		s.drop(st)
		st.finish(append([]byte(nil), body...), nil)
	case kindReply:
		d := &decoder{b: body}
		address := d.string()
		if !d.end() || st.client.reply == nil {
			return protocolError("a reply that is not well formed or wanted")
		}
		select {
		case st.client.reply <- address:
		default:
			return protocolError("a second reply")
		}
	case kindAccept:
		if st.client.accepted == nil || len(body) < 4 {
			return protocolError("a connection that nobody listens for")
		}
		d := &decoder{b: body[4:]}
		address := d.string()
		num := binary.BigEndian.Uint32(body)
		if !d.end() {
			return protocolError("a connection that is not well formed")
		}
		if err := s.see(num); err != nil {
			return err
		}
		conn, err := s.add(num, nil, nil)
		if err != nil {
			return err
		}
		return st.client.accepted(&netConn{c: c, st: conn, remote: address})
	default:
		return protocolError("a frame of kind %d from a server", kind)
	}
	return nil
}

// outcome returns the result of a finished stream.
func (st *stream) outcome() (compute.Exit, error) {
	st.mu.Lock()
	result, err := st.result, st.err
	st.mu.Unlock()
	if result == nil {
		return compute.Exit{}, err
	}
	d := &decoder{b: result}
	if err := d.error(0); err != nil || d.bad {
		if d.bad {
			return compute.Exit{}, protocolError("a result that is not well formed")
		}
		return compute.Exit{}, err
	}
	exit := compute.Exit{Code: d.int(255), Signal: d.string(), Reason: d.string()}
	if !d.end() {
		return compute.Exit{}, protocolError("a result that is not well formed")
	}
	return exit, nil
}

// abort tells the server to end a stream by force, and waits for its end for a while.
func (st *stream) abort(how ...byte) {
	st.s.post(kindCancel, 0, st.id, how)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-st.finished:
	case <-t.C:
	}
	st.s.drop(st)
	st.end(context.Canceled)
	for ch := 1; ch < len(st.in); ch++ {
		st.in[ch].stop(context.Canceled)
	}
}

// waitEnd waits until the stream has ended and all its output was written, or ctx ends. Then it
// aborts the stream, or leaves it alone if it is held and contact was lost.
func (st *stream) waitEnd(ctx context.Context, held bool) error {
	select {
	case <-st.ended:
	case <-ctx.Done():
		if held && errors.Is(context.Cause(ctx), compute.ErrLost) {
			st.abort(leave)
		} else {
			st.abort()
		}
		return ctx.Err()
	}
	var late <-chan time.Time
	// received data is still written, but a stuck writer does not hide that contact is lost
	if st.s.cause() != nil {
		t := time.NewTimer(grace)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-st.finished:
	case <-late:
	case <-ctx.Done():
		st.abort()
		return ctx.Err()
	}
	return nil
}

// Run implements compute.Conn. A writer that returns an error is, to the command, a pipe that
// nobody reads. A Stdin that never ends does not keep Run from returning; its last Read may go on
// after that.
func (c *Client) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if err := ctx.Err(); err != nil {
		return compute.Exit{}, err
	}
	begun := cmd.Hold != nil && cmd.Hold.Begun != nil
	var reply chan string
	if begun {
		reply = make(chan string, 1)
	}
	st, err := c.open(appendCommand(make([]byte, 0, 512), cmd), func(st *stream) {
		st.client.reply = reply
		st.in[1].sink, st.in[2].sink = cmd.Stdout, cmd.Stderr
		st.in[1].closed, st.in[2].closed = cmd.Stdout == nil, cmd.Stderr == nil
	})
	if err != nil {
		return compute.Exit{}, err
	}
	if cmd.Stdin != nil {
		go func() {
			if _, err := st.out[0].ReadFrom(cmd.Stdin); err != nil && cmd.Hold != nil {
				return // the typing client is lost, and others may type
			}
			st.out[0].eof(io.ErrClosedPipe)
		}()
	}
	signals, resize := cmd.Signals, cmd.Resize
	for waiting := signals != nil || resize != nil || begun; waiting; {
		select {
		case name, ok := <-signals:
			if !ok {
				signals = nil
			} else if len(name) <= 16 {
				c.s.post(kindSignal, 0, st.id, []byte(name))
			}
		case size, ok := <-resize:
			if !ok {
				resize = nil
			} else {
				c.s.post(kindResize, 0, st.id, appendSize(nil, size))
			}
		case <-reply:
			cmd.Hold.Begun()
			reply = nil
		case <-st.ended:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
	select {
	case <-reply: // it came together with the end
		cmd.Hold.Begun()
	default:
	}
	if err := st.waitEnd(ctx, cmd.Hold != nil); err != nil {
		return compute.Exit{}, err
	}
	return st.outcome()
}

// same reports whether a command's output and errors go to one writer: then they keep their order.
func same(a, b io.Writer) bool {
	defer func() { _ = recover() }() // values that cannot be compared are not the same
	return a != nil && a == b
}

// sink returns the error of a writer for the stream's output.
func (st *stream) sink() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.sinkErr
}

// Put implements compute.Conn. It reads tar to its end, unless the other side refuses the data.
func (c *Client) Put(ctx context.Context, dir string, tar io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st, err := c.open(appendString([]byte{opPut}, dir), func(*stream) {})
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		r := &source{r: tar}
		if _, err := st.out[0].ReadFrom(r); err == nil {
			st.out[0].eof(io.ErrClosedPipe)
		}
		sent <- r.err
	}()
	select {
	case err := <-sent:
		if err != nil { // a broken archive must not pass for a complete one
			st.abort()
			return err
		}
	case <-st.ended:
	case <-ctx.Done():
	}
	if err := st.waitEnd(ctx, false); err != nil {
		return err
	}
	_, err = st.outcome()
	return err
}

// source is a reader that remembers its own error, to tell it from an error of the destination.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// Get implements compute.Conn.
func (c *Client) Get(ctx context.Context, path string, w io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st, err := c.open(appendString([]byte{opGet}, path), func(st *stream) { st.in[1].sink = w })
	if err != nil {
		return err
	}
	if err := st.waitEnd(ctx, false); err != nil {
		return err
	}
	_, err = st.outcome()
	if sinkErr := st.sink(); sinkErr != nil {
		return sinkErr
	}
	return err
}
