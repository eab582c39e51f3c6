package agent_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/remote/agent"
)

// next reads a frame.
func next(t *testing.T, r *bufio.Reader) (kind byte, id uint32, body []byte) {
	t.Helper()
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		t.Fatal(err)
	}
	body = make([]byte, int(h[1])<<16|int(h[2])<<8|int(h[3]))
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	return h[0] & 63, binary.BigEndian.Uint32(h[4:]), body
}

// A connection that is accepted for a listener which the client has given up is cancelled, and the
// rest goes on.
func TestLateAccept(t *testing.T) {
	leaks(t)
	a, b := pair(t)
	defer b.Close()
	c := agent.New(a)
	defer c.Close()
	listening := make(chan net.Listener, 1)
	go func() {
		l, _ := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
		listening <- l
	}()
	r := bufio.NewReader(b)
	if _, err := io.ReadFull(r, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	_, id, _ := next(t, r)
	_, _ = io.WriteString(b, greeting+frame(9, 0, id, "\x01x"))
	l := <-listening
	if l == nil {
		t.Fatal("no listener")
	}
	_ = l.Close() // after its grace, as nobody answers
	if kind, of, _ := next(t, r); kind != 8 || of != id {
		t.Fatalf("got a frame of kind %d for %d, want the listener cancelled", kind, of)
	}
	_, _ = io.WriteString(b, frame(10, 0, id, "\x00\x00\x00\x02\x01y")+frame(2, 1, 2, "data")+frame(11, 0, id, "\x00\x00\x00\x00"))
	if kind, of, _ := next(t, r); kind != 8 || of != 2 {
		t.Errorf("got a frame of kind %d for %d, want the new connection cancelled", kind, of)
	}
	dialled := make(chan error, 1)
	go func() {
		nc, err := c.Dial(t.Context(), "tcp", "x:1")
		if err == nil {
			nc.Close()
		}
		dialled <- err
	}()
	_, id, _ = next(t, r)
	_, _ = io.WriteString(b, frame(9, 0, id, "\x01x"))
	if err := <-dialled; err != nil {
		t.Errorf("the connection is broken: %v", err)
	}
}

// strained is a computer whose listeners cannot accept at first.
type strained struct{ *fake }

type strainedListener struct {
	net.Listener
	errs []error
}

func (l *strainedListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return l.Listener.Accept()
}

func (f strained) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := f.fake.Listen(ctx, network, address)
	return &strainedListener{l, []error{syscall.EMFILE, syscall.ECONNABORTED}}, err
}

// Too many open files for a moment do not end a listener.
func TestListenGoesOn(t *testing.T) {
	leaks(t)
	c, _ := connect(t, strained{newFake()})
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 20 {
		there, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		here, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		here.Close()
		there.Close()
	}
}
