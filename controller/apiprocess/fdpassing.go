package apiprocess

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The engine passes sockets to the API process over a unix socket (SCM_RIGHTS), one with each
// message. A message says what its socket is, and of a client's connection the listener's number.
// The API process sends one byte back for each connection to the engine that it wants.
const (
	kindClient = 's' // a connection that a listener has accepted
	kindEngine = 'e' // a connection to the engine
	kindProbe  = 'p' // a connection of the engine's own, to see whether the process answers
)

// sendTime is how long the API process may take to receive a socket. One that takes longer hangs.
const sendTime = 10 * time.Second

// pairPause is how long the engine waits when it has too many open files for another connection.
const pairPause = 100 * time.Millisecond

// fdSender is the engine's end. Several goroutines may use it.
type fdSender struct {
	mu    sync.Mutex
	c     *net.UnixConn
	slots chan struct{} // one for each connection to the engine
	done  chan struct{} // closed by Close
	close func() error
}

// newFDSender returns the sender to a process that has at most so many connections to the engine,
// and those that are kept aside.
func newFDSender(c *net.UnixConn, sockets int) *fdSender {
	d := &fdSender{c: c, slots: make(chan struct{}, sockets+aside), done: make(chan struct{})}
	d.close = sync.OnceValue(func() error { close(d.done); return c.Close() })
	return d
}

// send passes a socket. The caller closes its own.
func (d *fdSender) send(what byte, listener int, fd int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.c.SetWriteDeadline(time.Now().Add(sendTime))
	_, _, err := d.c.WriteMsgUnix([]byte{what, byte(listener)}, unix.UnixRights(fd), nil)
	return err
}

// sendConn passes a connection that a listener has accepted, and closes it here.
func (d *fdSender) sendConn(c net.Conn, listener int) error {
	defer c.Close()
	s, ok := c.(syscall.Conn)
	if !ok {
		return errors.New("this connection has no descriptor")
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var handed error
	err = raw.Control(func(fd uintptr) { handed = d.send(kindClient, listener, int(fd)) })
	return errors.Join(err, handed)
}

// sendPair makes a pair of sockets, passes one, and returns the other.
func (d *fdSender) sendPair(what byte) (net.Conn, error) {
	pair, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer pair[0].Close()
	defer pair[1].Close()
	c, err := net.FileConn(pair[0])
	if err != nil {
		return nil, err
	}
	if err := d.send(what, 0, int(pair[1].Fd())); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Accept waits until the API process wants a connection to the engine and there is a slot for it.
// io.EOF means that the process has ended.
func (d *fdSender) Accept() (net.Conn, error) {
	b := make([]byte, 1)
	if n, err := d.c.Read(b); err != nil || n == 0 {
		return nil, errors.Join(err, io.EOF)
	}
	select {
	case d.slots <- struct{}{}:
	case <-d.done:
		return nil, net.ErrClosed
	}
	for {
		c, err := d.sendPair(kindEngine)
		if err == nil {
			return &engineConn{Conn: c, free: sync.OnceFunc(func() { <-d.slots })}, nil
		}
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			<-d.slots
			return nil, err
		}
		select { // the process waits for it
		case <-time.After(pairPause):
		case <-d.done:
			<-d.slots
			return nil, net.ErrClosed
		}
	}
}

func (d *fdSender) Close() error { return d.close() }

// Addr is for net.Listener.
func (d *fdSender) Addr() net.Addr { return &net.UnixAddr{Name: "api process", Net: "unix"} }

// engineConn is a connection that the API process has to the engine.
type engineConn struct {
	net.Conn
	free func()
}

func (s *engineConn) Close() error {
	defer s.free()
	return s.Conn.Close()
}

// fdReceiver is the API process's end.
type fdReceiver struct {
	c       *net.UnixConn
	clients []*fdListener
	places  *places
	probes  *fdListener

	mu      sync.Mutex
	waiting []chan net.Conn // for connections to the engine, in the order in which they asked
}

// newFDReceiver returns the end of a process.
func newFDReceiver(c *net.UnixConn, s setup) *fdReceiver {
	in := &fdReceiver{c: c, places: newPlaces(s.maxConns()), probes: newFDListener()}
	for range s.Listeners {
		in.clients = append(in.clients, newFDListener())
	}
	return in
}

// receive sorts the sockets that arrive, until the engine closes its end.
func (in *fdReceiver) receive() error {
	defer func() {
		for _, l := range append(in.clients, in.probes) {
			_ = l.Close()
		}
	}()
	for {
		what, listener, c, err := in.next()
		if err != nil {
			return err
		}
		switch {
		case c == nil:
		case what == kindEngine:
			in.deliver(c)
		case what == kindProbe:
			in.probes.put(localConn{c})
		case what == kindClient && listener < len(in.clients):
			if b := in.places.admit(c); b != nil {
				in.clients[listener].put(b)
			}
		default:
			_ = c.Close()
		}
	}
}

// next reads one message. c is nil if its socket did not come, because this process has too many.
func (in *fdReceiver) next() (what byte, listener int, c net.Conn, err error) {
	space, b := make([]byte, unix.CmsgSpace(4)), make([]byte, 2)
	n, got, _, _, err := in.c.ReadMsgUnix(b, space)
	if err != nil {
		return 0, 0, nil, err
	}
	if n < len(b) {
		return 0, 0, nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(space[:got])
	if err != nil || len(messages) != 1 {
		return b[0], int(b[1]), nil, nil
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return b[0], int(b[1]), nil, nil
	}
	unix.CloseOnExec(fds[0])
	f := os.NewFile(uintptr(fds[0]), "handed")
	defer f.Close()
	if c, err = net.FileConn(f); err != nil {
		return b[0], int(b[1]), nil, nil
	}
	return b[0], int(b[1]), c, nil
}

// dial returns a connection to the engine.
func (in *fdReceiver) dial() (net.Conn, error) {
	got := make(chan net.Conn, 1)
	in.mu.Lock()
	in.waiting = append(in.waiting, got)
	in.mu.Unlock()
	_ = in.c.SetWriteDeadline(time.Now().Add(sendTime))
	_, err := in.c.Write([]byte{kindEngine})
	if err == nil {
		late := time.NewTimer(sendTime)
		defer late.Stop()
		select {
		case c := <-got:
			return c, nil
		case <-late.C:
			err = errors.New("the engine hands over no connection")
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if i := slices.Index(in.waiting, got); i >= 0 {
		in.waiting = slices.Delete(in.waiting, i, i+1)
		return nil, err
	}
	return <-got, nil // it came in the last moment
}

// deliver gives a connection to the engine to who has waited longest. It closes one that nobody
// waits for any more.
func (in *fdReceiver) deliver(c net.Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.waiting) == 0 {
		_ = c.Close()
		return
	}
	in.waiting[0] <- c // it has room for one
	in.waiting = slices.Delete(in.waiting, 0, 1)
}

// fdListener is a listener of connections that were passed to this process.
type fdListener struct {
	conns chan net.Conn
	over  chan struct{}
	close func()
}

func newFDListener() *fdListener {
	over := make(chan struct{})
	return &fdListener{conns: make(chan net.Conn), over: over, close: sync.OnceFunc(func() { close(over) })}
}

func (h *fdListener) put(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.over:
		_ = c.Close()
	}
}

// Accept waits for the next connection.
func (h *fdListener) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.over:
		return nil, net.ErrClosed
	}
}

func (h *fdListener) Close() error { h.close(); return nil }

// Addr is for net.Listener.
func (h *fdListener) Addr() net.Addr { return &net.UnixAddr{Name: "handed", Net: "unix"} }

// localConn is a connection of the engine's own, which has the addresses of this machine.
type localConn struct{ net.Conn }

func (localConn) LocalAddr() net.Addr  { return loopback() }
func (localConn) RemoteAddr() net.Addr { return loopback() }

func loopback() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
