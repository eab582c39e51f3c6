package callers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/resource"
)

// ProcessListener is a listener for callers in the same process.
type ProcessListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// NewProcessListener returns a listener for callers in the same process.
func NewProcessListener() *ProcessListener {
	return &ProcessListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects without an identity: the request must authenticate itself.
func (l *ProcessListener) Dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	return l.enter(ctx, here, there)
}

// DialAs returns a Dial whose connections are authenticated as who.
func (l *ProcessListener) DialAs(who auth.Principal) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		return l.enter(ctx, here, &processConn{there, who})
	}
}

// processConn is a connection of a caller in the same process.
type processConn struct {
	net.Conn
	who auth.Principal
}

type processKey struct{}

// byProcess identifies a caller in the same process.
func byProcess(r *http.Request) (auth.Principal, bool, error) {
	who, ok := r.Context().Value(processKey{}).(auth.Principal)
	return who, ok, nil
}

func (l *ProcessListener) enter(ctx context.Context, here, there net.Conn) (net.Conn, error) {
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next connection.
func (l *ProcessListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close refuses new connections.
func (l *ProcessListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr has a name for errors alone: a pipe within the process has no address.
func (l *ProcessListener) Addr() net.Addr {
	return &net.UnixAddr{Name: fmt.Sprint("process ", os.Getpid()), Net: "unix"}
}

// viaObjects is how the caller that acts for a namespace's objects is known.
const viaObjects = "kubernetes"

// Namespace returns the caller that acts for the objects of a Kubernetes namespace. It has no role
// yet.
func Namespace(name string) auth.Principal {
	return auth.Principal{Name: resource.Owner(name), Via: viaObjects}
}
