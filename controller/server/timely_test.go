package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/controller/server"
)

// TestNeverReading: whoever asks, and takes no answer, is cut off, also a stranger; he does not
// keep what is to be written to him in memory for ever.
func TestNeverReading(t *testing.T) {
	e := engine(t)
	handler := server.New(server.Options{
		Engine:    func() server.Engine { return whole(e) },
		Version:   "test",
		Identity:  func() api.Identity { return api.Identity{} },
		Callers:   server.Callers{Authenticate: authenticate},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	})
	closed := make(chan struct{}, 1)
	srv := &http.Server{Handler: handler, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, srv, l, time.Second) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	c := dial(t, l.Addr().String())
	if _, err := io.WriteString(c, strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n", 500)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("a client that reads nothing is still being written to")
	}
}
