package proxycmd

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// eitherListener accepts connections with and without TLS. The first byte tells them apart.
type eitherListener struct {
	net.Listener
	settings *tls.Config
}

func (l eitherListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &eitherConn{Conn: c, settings: l.settings}, nil
}

// eitherConn is a connection that may speak TLS, once its first byte is read. Deadlines are those
// of the connection below.
type eitherConn struct {
	net.Conn
	settings *tls.Config
	first    sync.Once
	failed   error
	inner    atomic.Pointer[net.Conn]
	tls      atomic.Pointer[tls.Conn] // nil: no TLS
}

// recordHandshake is the first byte of TLS. No method of HTTP begins with it.
const recordHandshake = 0x16

// Read finds out by the first byte whether the client speaks TLS.
func (c *eitherConn) Read(p []byte) (int, error) {
	c.first.Do(func() {
		var first [1]byte
		if _, c.failed = io.ReadFull(c.Conn, first[:]); c.failed != nil {
			return
		}
		var inner net.Conn = begun{c.Conn, io.MultiReader(bytes.NewReader(first[:]), c.Conn)}
		if first[0] == recordHandshake {
			speaking := tls.Server(inner, c.settings)
			c.tls.Store(speaking)
			inner = speaking
		}
		c.inner.Store(&inner)
	})
	if c.failed != nil {
		return 0, c.failed
	}
	return (*c.inner.Load()).Read(p)
}

func (c *eitherConn) Write(p []byte) (int, error) {
	if inner := c.inner.Load(); inner != nil {
		return (*inner).Write(p)
	}
	return c.Conn.Write(p) // nothing was read yet
}

func (c *eitherConn) Close() error {
	if inner := c.inner.Load(); inner != nil {
		return (*inner).Close()
	}
	return c.Conn.Close()
}

// begun is a connection whose first bytes were read.
type begun struct {
	net.Conn
	rest io.Reader
}

func (b begun) Read(p []byte) (int, error) { return b.rest.Read(p) }

type eitherKey struct{}

// withEither stores a connection in its context, for eitherHandler.
func withEither(ctx context.Context, c net.Conn) context.Context {
	if e, ok := c.(*eitherConn); ok {
		return context.WithValue(ctx, eitherKey{}, e)
	}
	return ctx
}

// eitherHandler sets a request's TLS state by its connection.
func eitherHandler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(eitherKey{}).(*eitherConn); ok {
			if speaking := c.tls.Load(); speaking != nil {
				state := speaking.ConnectionState()
				r.TLS = &state
			}
		}
		next.ServeHTTP(w, r)
	})
}
