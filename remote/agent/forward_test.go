package agent_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

func TestDial(t *testing.T) {
	leaks(t)
	c, _ := connect(t, newFake())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // answers when it has heard all
				defer nc.Close()
				p, _ := io.ReadAll(nc)
				nc.Write(p)
			}()
		}
	}()
	nc, err := c.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	nc.SetReadDeadline(time.Time{})
	in := make([]byte, 3_000_000)
	go func() {
		nc.Write(in)
		nc.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if out, err := io.ReadAll(nc); err != nil || len(out) != len(in) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	nc.Close()
	if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if _, err := nc.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	l.Close()
	if _, err := c.Dial(t.Context(), "tcp", l.Addr().String()); err == nil {
		t.Error("dialled where nobody listens")
	}
}

// What was written before Close arrives, though nobody reads on this side any more.
func TestCloseDelivers(t *testing.T) {
	leaks(t)
	c, _ := connect(t, newFake())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := c.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		nc.Write(make([]byte, 500_000))
		nc.Close()
		c.Close()
	}()
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if p, err := io.ReadAll(there); err != nil || len(p) != 500_000 {
		t.Errorf("%d bytes, %v", len(p), err)
	}
}

func TestListen(t *testing.T) {
	leaks(t)
	c, _ := connect(t, newFake())
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for range 40 { // more than the backlog, one after the other
		there, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		here, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		there.Write([]byte("ping"))
		p := make([]byte, 4)
		if _, err := io.ReadFull(here, p); err != nil || string(p) != "ping" {
			t.Fatalf(`p = %q err = %v; want no error and string(p) == "ping"`, p, err)
		}
		here.Write([]byte("pong"))
		here.Close()
		if p, err := io.ReadAll(there); err != nil || string(p) != "pong" {
			t.Fatalf(`p = %q err = %v; want no error and string(p) == "pong"`, p, err)
		}
		there.Close()
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err != nil { // nobody accepts it
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	l2, err := c.Listen(t.Context(), "unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, err := l2.Accept(); accepted <- err }()
	l2.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	l.Close()
	again, err := net.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Errorf("the address is not free after Close: %v", err)
	} else {
		again.Close()
	}
}

func TestNoForwarding(t *testing.T) {
	c, _ := connect(t, plain{newFake()})
	if _, err := c.Dial(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("Dial: %v", err)
	}
	if _, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0"); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("Listen: %v", err)
	}
}

// What waits for the client's next word ends with Serve's context too.
func TestServeContextEndsStreams(t *testing.T) {
	leaks(t)
	a, b := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- agent.Serve(ctx, b, newFake(), agent.Options{}) }()
	c := agent.New(a)
	defer c.Close()
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialled, err := c.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	never, w := io.Pipe()
	defer w.Close()
	put := make(chan error, 1)
	go func() { put <- c.Put(t.Context(), "/d", never) }()
	w.Write([]byte("x")) // it has begun
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
	if err := <-put; !errors.Is(err, compute.ErrLost) {
		t.Errorf("Put: %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("Accept goes on")
	}
}
