package computetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// network returns the abilities to dial and to listen, or skips.
func (t *connTest) network() (provider.Dialer, provider.Listener) {
	t.Helper()
	d, ok := provider.As[provider.Dialer](t.conn)
	if !ok {
		t.Skip("Dial: this kind does not forward")
	}
	l, ok := provider.As[provider.Listener](t.conn)
	if !ok {
		t.Skip("Listen: this kind does not forward in this direction")
	}
	return d, l
}

var netCases = []connCase{
	{"DialListenTCP", func(t *connTest) { roundTrips(t, "tcp", func(int) string { return "127.0.0.1:0" }) }},
	{"DialListenUnix", func(t *connTest) {
		dir := t.scratch()
		roundTrips(t, "unix", func(i int) string { return path.Join(dir, fmt.Sprint("s", i)) })
	}},
	{"DialRefused", func(t *connTest) {
		d, l := t.network()
		ln, err := l.Listen(t.ctx(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := ln.Addr().String()
		_ = ln.Close()
		for late := time.Now().Add(patience); ; { // the far side may take a moment to close
			c, err := d.Dial(t.ctx(), "tcp", address)
			if err != nil {
				break
			}
			_ = c.Close()
			if time.Now().After(late) {
				t.Fatal("a port that nobody listens on answers")
			}
		}
		if _, err := d.Dial(t.ctx(), "unix", path.Join(t.opt.Dir, "no-such-socket")); err == nil {
			t.Error("a socket that is not there answers")
		}
	}},
}

// roundTrips checks both directions, half-closed, for several connections at once.
func roundTrips(t *connTest, network string, address func(int) string) {
	d, l := t.network()
	ln, err := l.Listen(t.ctx(), network, address(0))
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { // answers only when it has read to the end: half-closing must work
				defer func() { _ = c.Close() }()
				b, err := io.ReadAll(c)
				if err == nil {
					_, _ = io.WriteString(c, strings.ToUpper(string(b)))
				}
			})
		}
	})
	var calling sync.WaitGroup
	for i := range 8 {
		calling.Go(func() {
			c, err := d.Dial(t.ctx(), network, ln.Addr().String())
			if err != nil {
				t.Errorf("Dial: %v", err)
				return
			}
			defer func() { _ = c.Close() }()
			text := strings.Repeat(fmt.Sprint("hello ", i, " "), 20_000)
			go func() {
				_, _ = io.WriteString(c, text)
				if err := closeWrite(c); err != nil {
					t.Errorf("CloseWrite: %v", err)
					_ = c.Close()
				}
			}()
			b, err := io.ReadAll(c)
			if err != nil || string(b) != strings.ToUpper(text) {
				t.Errorf("%d bytes came back, want %d; %v", len(b), len(text), err)
			}
		})
	}
	calling.Wait()
	_ = ln.Close()
	serving.Wait()
}

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.New("the connection has no CloseWrite")
}

var endCases = []connCase{
	{"CloseTwice", func(t *connTest) {
		if err := t.conn.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := t.conn.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
	}},
	{"UseAfterClose", func(t *connTest) {
		dir := t.scratch()
		_ = t.conn.Close()
		if _, err := t.conn.Run(t.ctx(), &compute.Command{Args: []string{"true"}}); err == nil {
			t.Error("Run after Close: no error")
		}
		if err := t.conn.Put(t.ctx(), path.Join(dir, "d"), strings.NewReader(string(archive(file{name: "f"})))); err == nil {
			t.Error("Put after Close: no error")
		}
		if err := t.conn.Get(t.ctx(), dir, io.Discard); err == nil {
			t.Error("Get after Close: no error")
		}
		t.conn = t.opt.New(t.T) // to clean up with
	}},
	{"CloseWhileRunning", func(t *connTest) {
		r := t.background(t.ctx(), compute.Command{Args: []string{"sh", "-c", "echo ready; sleep 300"}, Stdin: endless(t)})
		r.until("ready")
		_ = t.conn.Close()
		if exit, err := r.end(); err == nil {
			t.Errorf("Run whose connection was closed: %+v and no error", exit)
		}
	}},
}
