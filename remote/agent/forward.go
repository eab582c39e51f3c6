package agent

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// address is a network address in text form.
type address struct{ network, name string }

func (a address) Network() string { return a.network }
func (a address) String() string  { return a.name }

// netConn is a connection that the other side's computer made or accepted.
type netConn struct {
	c       *Client
	st      *stream
	network string
	remote  string
	reader  timer
	writer  timer
}

// Dial implements provider.Dialer. The connection has CloseWrite, and deadlines of this side.
func (c *Client) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	st, _, err := c.request(ctx, opDial, network, addr, nil)
	if err != nil {
		return nil, err
	}
	return &netConn{c: c, st: st, network: network, remote: addr}, nil
}

// request opens a stream for a connection or a listener.
func (c *Client) request(ctx context.Context, op byte, network, addr string, accepted func(*netConn) error) (*stream, string, error) {
	return c.await(ctx, appendString(appendString([]byte{op}, network), addr), accepted)
}

// await opens a stream that is answered by a reply, and waits for the reply.
func (c *Client) await(ctx context.Context, body []byte, accepted func(*netConn) error) (*stream, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	st, err := c.open(body, func(st *stream) {
		st.client.reply, st.client.accepted = make(chan string, 1), accepted
	})
	if err != nil {
		return nil, "", err
	}
	select {
	case reply := <-st.client.reply:
		return st, reply, nil
	case <-ctx.Done():
		st.abort()
		return nil, "", ctx.Err()
	case <-st.ended:
	}
	select {
	case reply := <-st.client.reply: // it was open, and ended at once
		return st, reply, nil
	default:
	}
	if _, err := st.outcome(); err != nil {
		return nil, "", err
	}
	return nil, "", protocolError("a result without a reply")
}

func (n *netConn) Read(p []byte) (int, error) {
	return n.st.in[1].Read(p)
}

func (n *netConn) Write(p []byte) (int, error) {
	return n.st.out[0].Write(p)
}

// CloseWrite ends writing. Written data still arrives, and reading goes on.
func (n *netConn) CloseWrite() error {
	n.st.out[0].eof(io.ErrClosedPipe)
	return nil
}

// Close ends both directions. Written data still arrives.
func (n *netConn) Close() error {
	n.reader.stop()
	n.writer.stop()
	n.st.client.closing.Store(true)
	n.st.out[0].eof(net.ErrClosed)
	n.st.in[1].stop(net.ErrClosed)
	return nil
}

func (n *netConn) LocalAddr() net.Addr  { return address{n.network, ""} }
func (n *netConn) RemoteAddr() net.Addr { return address{n.network, n.remote} }

func (n *netConn) SetDeadline(t time.Time) error {
	n.SetReadDeadline(t)
	return n.SetWriteDeadline(t)
}

func (n *netConn) SetReadDeadline(t time.Time) error {
	n.reader.set(t, n.st, &n.st.in[1].expired)
	return nil
}

func (n *netConn) SetWriteDeadline(t time.Time) error {
	n.writer.set(t, n.st, &n.st.out[0].expired)
	return nil
}

// timer sets a flag of a stream when a deadline passes.
type timer struct {
	mu   sync.Mutex
	t    *time.Timer
	turn int // so that a timer that fires during its replacement changes nothing
}

func (d *timer) stop() { d.set(time.Time{}, nil, nil) }

// set has flag set at the given time, and wakes the waiters of st. A zero time clears the flag,
// and a nil st stops the timer.
func (d *timer) set(at time.Time, st *stream, flag *bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.t != nil {
		d.t.Stop()
		d.t = nil
	}
	d.turn++
	if st == nil {
		return
	}
	wait := time.Until(at)
	st.mu.Lock()
	*flag = !at.IsZero() && wait <= 0
	st.cond.Broadcast()
	st.mu.Unlock()
	if at.IsZero() || wait <= 0 {
		return
	}
	turn := d.turn
	d.t = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.turn == turn {
			st.mu.Lock()
			*flag = true
			st.cond.Broadcast()
			st.mu.Unlock()
		}
	})
}

// listener is a listener on the other side's computer.
type listener struct {
	c     *Client
	st    *stream
	addr  address
	conns chan *netConn
	once  sync.Once
	gone  chan struct{} // closed by Close
}

// Listen implements provider.Listener.
func (c *Client) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	l := &listener{c: c, conns: make(chan *netConn, backlog), gone: make(chan struct{})}
	st, reply, err := c.request(ctx, opListen, network, addr, func(n *netConn) error {
		n.network = network
		select {
		case l.conns <- n:
		default:
			return protocolError("more connections than were asked for")
		}
		select {
		case <-l.gone: // it came while Close discarded the others
			l.refuse()
		default:
		}
		return nil
	})
	if err != nil {
		close(l.gone)
		l.refuse()
		return nil, err
	}
	l.st, l.addr = st, address{network, reply}
	return l, nil
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case n := <-l.conns:
		l.took()
		return n, nil
	default:
	}
	select {
	case n := <-l.conns:
		l.took()
		return n, nil
	case <-l.gone:
		return nil, net.ErrClosed
	case <-l.st.ended:
		if err := l.c.s.cause(); err != nil {
			return nil, err
		}
		if _, err := l.st.outcome(); err != nil {
			return nil, err
		}
		return nil, net.ErrClosed
	}
}

func (l *listener) took() {
	l.c.s.post(kindCredit, 1, l.st.id, binary.BigEndian.AppendUint32(nil, 1))
}

// Close ends listening and closes connections that nobody accepted. It returns when the address is
// free.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.gone) })
	l.st.abort()
	l.refuse()
	return nil
}

// refuse closes connections that nobody accepted.
func (l *listener) refuse() {
	for {
		select {
		case n := <-l.conns:
			n.Close()
		default:
			return
		}
	}
}

func (l *listener) Addr() net.Addr { return l.addr }
