package front

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

// The engine hands sockets to the API process through the door, one with each message. A message
// says what its socket is, and of a stranger's connection the listener's number. The other way
// goes one byte for each socket to the engine that the API process wants.
const (
	handStranger = 's' // a connection that a listener has accepted
	handEngine   = 'e' // a connection to the engine
	handProbe    = 'p' // a connection of the engine's own, to see whether the process answers
)

// handTime is how long the API process may take to receive a socket. One that takes longer hangs.
const handTime = 10 * time.Second

// pairPause is how long the engine waits when it has too many open files for another connection.
const pairPause = 100 * time.Millisecond

// door is the engine's end. Several goroutines may use it.
type door struct {
	mu    sync.Mutex
	c     *net.UnixConn
	slots chan struct{} // one for each connection to the engine
	over  chan struct{} // closed by Close
	close func() error
}

// newDoor returns the door of a process that has at most so many connections to the engine.
func newDoor(c *net.UnixConn, sockets int) *door {
	d := &door{c: c, slots: make(chan struct{}, sockets), over: make(chan struct{})}
	d.close = sync.OnceValue(func() error { close(d.over); return c.Close() })
	return d
}

// hand hands a socket over. The caller closes its own.
func (d *door) hand(what byte, listener int, fd int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.c.SetWriteDeadline(time.Now().Add(handTime))
	_, _, err := d.c.WriteMsgUnix([]byte{what, byte(listener)}, unix.UnixRights(fd), nil)
	return err
}

// handConn hands over a connection that a listener has accepted, and closes it here.
func (d *door) handConn(c net.Conn, listener int) error {
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
	err = raw.Control(func(fd uintptr) { handed = d.hand(handStranger, listener, int(fd)) })
	return errors.Join(err, handed)
}

// pair makes a pair of sockets, hands one over, and returns the other.
func (d *door) pair(what byte) (net.Conn, error) {
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
	if err := d.hand(what, 0, int(pair[1].Fd())); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Accept waits until the API process wants a connection to the engine and there is a slot for it.
// io.EOF means that the process has ended.
func (d *door) Accept() (net.Conn, error) {
	b := make([]byte, 1)
	if n, err := d.c.Read(b); err != nil || n == 0 {
		return nil, errors.Join(err, io.EOF)
	}
	select {
	case d.slots <- struct{}{}:
	case <-d.over:
		return nil, net.ErrClosed
	}
	for {
		c, err := d.pair(handEngine)
		if err == nil {
			return &slot{Conn: c, free: sync.OnceFunc(func() { <-d.slots })}, nil
		}
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			<-d.slots
			return nil, err
		}
		select { // the process waits for it
		case <-time.After(pairPause):
		case <-d.over:
			<-d.slots
			return nil, net.ErrClosed
		}
	}
}

func (d *door) Close() error { return d.close() }

// Addr is for net.Listener.
func (d *door) Addr() net.Addr { return &net.UnixAddr{Name: "api process", Net: "unix"} }

// slot is a connection that the API process has to the engine.
type slot struct {
	net.Conn
	free func()
}

func (s *slot) Close() error {
	defer s.free()
	return s.Conn.Close()
}

// inside is the API process's end of the door.
type inside struct {
	c         *net.UnixConn
	strangers []*handed
	places    slots // one for each connection of a stranger
	probes    *handed

	mu      sync.Mutex
	waiting []chan net.Conn // for connections to the engine, in the order in which they asked
}

// newInside returns the end of a process.
func newInside(c *net.UnixConn, s setup) *inside {
	in := &inside{c: c, places: newSlots(s.mostStrangers()), probes: newHanded()}
	for range s.Listeners {
		in.strangers = append(in.strangers, newHanded())
	}
	return in
}

// receive passes the sockets on that are handed in, until the door closes.
func (in *inside) receive() error {
	defer func() {
		for _, l := range append(in.strangers, in.probes) {
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
		case what == handEngine:
			in.give(c)
		case what == handProbe:
			in.probes.put(localConn{c})
		case what == handStranger && listener < len(in.strangers) && in.places.take():
			in.strangers[listener].put(&bounded{c, sync.OnceFunc(in.places.free)})
		default:
			_ = c.Close()
		}
	}
}

// next reads one message. c is nil if its socket did not come, because this process has too many.
func (in *inside) next() (what byte, listener int, c net.Conn, err error) {
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
func (in *inside) dial() (net.Conn, error) {
	got := make(chan net.Conn, 1)
	in.mu.Lock()
	in.waiting = append(in.waiting, got)
	in.mu.Unlock()
	_ = in.c.SetWriteDeadline(time.Now().Add(handTime))
	_, err := in.c.Write([]byte{handEngine})
	if err == nil {
		late := time.NewTimer(handTime)
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

// give gives a connection to the engine to who has waited longest. It closes one that nobody waits
// for any more.
func (in *inside) give(c net.Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.waiting) == 0 {
		_ = c.Close()
		return
	}
	in.waiting[0] <- c // it has room for one
	in.waiting = slices.Delete(in.waiting, 0, 1)
}

// handed is a listener of connections that come through the door.
type handed struct {
	conns chan net.Conn
	over  chan struct{}
	close func()
}

func newHanded() *handed {
	over := make(chan struct{})
	return &handed{conns: make(chan net.Conn), over: over, close: sync.OnceFunc(func() { close(over) })}
}

func (h *handed) put(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.over:
		_ = c.Close()
	}
}

// Accept waits for the next connection.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.over:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error { h.close(); return nil }

// Addr is for net.Listener.
func (h *handed) Addr() net.Addr { return &net.UnixAddr{Name: "handed", Net: "unix"} }

// localConn is a connection of the engine's own, which has the addresses of this machine.
type localConn struct{ net.Conn }

func (localConn) LocalAddr() net.Addr  { return loopback() }
func (localConn) RemoteAddr() net.Addr { return loopback() }

func loopback() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
