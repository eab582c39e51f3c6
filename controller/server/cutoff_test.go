package server_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/hostler-project/hostler/controller/server"
)

// TestCutOff ends a server while a request is being answered: the error says so, and is another
// than that of a server that failed.
func TestCutOff(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	ctx, end := context.WithCancel(t.Context())
	asked, gone := make(chan struct{}), make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done() // which its close ends
		close(gone)
	})}
	over := make(chan error, 1)
	go func() { over <- server.Serve(ctx, srv, l, 10*time.Millisecond) }()
	go func() {
		if got, err := http.Get("http://" + l.Addr().String()); err == nil {
			_ = got.Body.Close()
		}
	}()
	<-asked
	end()
	if err := <-over; !errors.Is(err, server.ErrCutOff) {
		t.Errorf("got %v, want ErrCutOff", err)
	}
	<-gone
}
