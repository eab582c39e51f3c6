package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// lateDoor is a listener whose connections send what comes after the event that a request ends with
// only when its reader has hung up.
type lateDoor struct {
	net.Listener
	hungUp chan struct{} // closed then
}

func (d lateDoor) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	return &lateConn{Conn: c, door: d}, err
}

type lateConn struct {
	net.Conn
	door lateDoor
	sent []byte
}

func (c *lateConn) Write(b []byte) (int, error) {
	_, last, _ := bytes.Cut(c.sent, []byte("event: "+api.EventAcquired))
	if bytes.Contains(last, []byte("\n\n")) {
		<-c.door.hungUp
	}
	n, err := c.Conn.Write(b)
	c.sent = append(c.sent, b[:n]...)
	return n, err
}

// closing tells when a connection is closed.
type closing struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestToldLast: who hangs up as soon as he has read which leases he got keeps them, though the
// controller has not heard yet that all went out.
func TestToldLast(t *testing.T) {
	const count = 100 // the event is so long that it is sent by itself, and what frames it later
	e := engine(t, pool.Source{Name: "many", Type: "fake", Digest: "d"})
	srv := httptest.NewUnstartedServer(server.New(server.Options{
		Engine:    func() server.Engine { return whole(e) },
		Version:   "test",
		Identity:  func() api.Identity { return api.Identity{} },
		Replies:   &memory{all: map[string]store.Answer{}},
		Callers:   server.Callers{Authenticate: authenticate},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	}))
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = srv.Listener.Close()
	hungUp := make(chan struct{})
	srv.Listener = lateDoor{l, hungUp}
	srv.Start()
	defer srv.Close()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	asker := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", path)
		return &closing{Conn: c, closed: hungUp}, err
	}}}
	r, err := http.NewRequestWithContext(
		ctx, http.MethodPost, "http://h/v1/leases",
		strings.NewReader(fmt.Sprintf(`{"source": "many", "count": %d}`, count)),
	)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer ann", "Content-Type": "application/json", "Accept": api.EventStream, api.KeyHeader: "k",
	} {
		r.Header.Set(name, value)
	}
	answer, err := asker.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for b := make([]byte, 1); ; got = append(got, b...) {
		if _, last, _ := bytes.Cut(got, []byte("event: "+api.EventAcquired)); bytes.Contains(last, []byte("\n\n")) {
			break
		}
		if n, err := answer.Body.Read(b); n == 0 {
			t.Fatalf("after %q: %v", got, err)
		}
	}
	_ = answer.Body.Close()
	srv.Close() // which waits until the request is served
	if ls, err := e.Leases(t.Context(), inventory.LeaseQuery{}); err != nil || len(ls) != count {
		t.Errorf("of %d leases that were told of there are %d, %v", count, len(ls), err)
	}
}
