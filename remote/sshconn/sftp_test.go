package sshconn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/pkg/sftp"

	"github.com/hostler-project/hostler/remote/sshconn"
)

// A copy that is cancelled between two pieces is not a whole one, though no write failed.
func TestSFTPWriteCancelled(t *testing.T) {
	a, b := net.Pipe()
	server, err := sftp.NewServer(b)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve()
	}()
	client, err := sftp.NewClientPipe(a, a, sftp.UseConcurrentWrites(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.Close()
		_ = client.Close()
		_ = server.Close()
		<-served
	})
	const size = 1 << 20
	for _, pieces := range []int{0, 1, 3} {
		f, err := client.Create(t.TempDir() + "/f")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if pieces == 0 {
			cancel()
		}
		reads := 0
		in := readFunc(func(p []byte) (int, error) {
			if reads++; reads == pieces {
				cancel()
			}
			return copy(p, bytes.Repeat([]byte("x"), len(p))), nil
		})
		if err := sshconn.WriteFar(ctx, f, in, size); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at piece %d: got %v, want the context's error", pieces, err)
		}
		cancel()
		if err := sshconn.WriteFar(
			t.Context(), f, io.LimitReader(readFunc(func(p []byte) (int, error) { return len(p), nil }), size), size,
		); err != nil {
			t.Error(err)
		}
		if fi, err := f.Stat(); err != nil || fi.Size() != size {
			t.Errorf("a whole one has %v, %v", fi, err)
		}
		_ = f.Close()
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
