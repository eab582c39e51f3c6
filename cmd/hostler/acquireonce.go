package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
)

// keyed returns how leases are taken with a key: of a controller or, where the command works by
// itself, of a server in this process, so that both are one way.
func (a *app) keyed(engine engine, key string) func(context.Context, compute.Request) ([]compute.Lease, error) {
	return func(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
		c, done, err := a.remote, func() {}, error(nil)
		if c == nil {
			if c, done, err = a.within(engine); err != nil {
				return nil, err
			}
		}
		leases, err := c.AcquireOnce(ctx, key, req)
		done() // what is answered is on the disk then, and what nobody took is given back
		if err != nil {
			return nil, keyTaken(key, err)
		}
		return leases, stillLive(ctx, engine, key, leases)
	}
}

// keyTaken says by the name of the option what a server says by that of the header.
func keyTaken(key string, err error) error {
	e, ok := errors.AsType[*compute.Error](err)
	if !ok || !errors.Is(err, compute.ErrConflict) || e.Err == nil || !strings.Contains(e.Err.Error(), api.KeyHeader) {
		return err
	}
	return &compute.Error{
		Kind: compute.ErrConflict, Err: fmt.Errorf("--key %s: another request has or had this key", term.Line(key)),
		Hint: "the same options again are the same request; another one takes another key",
	}
}

// stillLive is an error where leases have ended that were given to an earlier request.
func stillLive(ctx context.Context, engine engine, key string, leases []compute.Lease) error {
	for _, l := range leases {
		all, err := engine.Leases(ctx, compute.LeaseQuery{Instance: l.Instance})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(now compute.Lease) bool { return now.ID == l.ID }) {
			return &compute.Error{
				ID: l.Instance, Kind: compute.ErrConflict,
				Err:  fmt.Errorf("--key %s: the lease that was given to this request has ended", term.Line(key)),
				Hint: "another key takes another one",
			}
		}
	}
	return nil
}

// within serves the engine of this process to this process, until done is called, which waits for
// what is being served.
func (a *app) within(engine engine) (c *client.Client, done func(), err error) {
	own, ok := engine.(*pool.Pool)
	if !ok {
		return nil, nil, &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("no engine of this process")}
	}
	kept := newAnswers(a.Host.Store(), a.Log)
	me := auth.Principal{Name: a.owner(), Here: true, Own: true, Via: "this process", Everywhere: auth.Administrator}
	handler := server.New(server.Options{
		Engine: func() server.Engine { return own }, Version: thisVersion().Version, Log: a.Log, Sources: a.isSource,
		Memory:       kept.promptly(),
		Authenticate: func(*http.Request) (auth.Principal, error) { return me, nil },
		Identity:     func() api.Identity { return api.Identity{} },
	})
	l := &innerDoor{conns: make(chan net.Conn), closed: make(chan struct{})}
	if c, err = client.New(client.Options{Dial: l.dial, Project: a.project()}); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		_ = server.Serve(
			ctx, &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug)}, l,
			innerPatience,
		)
	})
	return c, func() {
		_ = c.Close()
		cancel()
		serving.Wait()
		kept.drop(context.Background(), answersOld)
	}, nil
}

// innerPatience is how long what is being served may take to end when its asker has gone: giving
// back what was just given.
const innerPatience = time.Minute

// innerDoor is a listener for who is in the same process.
type innerDoor struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *innerDoor) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	return l.enter(ctx, here, there)
}

// dialAs is dial for who is somebody.
func (l *innerDoor) dialAs(who auth.Principal) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		return l.enter(ctx, here, &insider{there, who})
	}
}

// insider is a connection of who is in the same process.
type insider struct {
	net.Conn
	who auth.Principal
}

type insiderKey struct{}

// byInside knows who is in the same process.
func byInside(r *http.Request) (auth.Principal, bool, error) {
	who, ok := r.Context().Value(insiderKey{}).(auth.Principal)
	return who, ok, nil
}

func (l *innerDoor) enter(ctx context.Context, here, there net.Conn) (net.Conn, error) {
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next one.
func (l *innerDoor) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close lets nobody in any more.
func (l *innerDoor) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is none.
func (l *innerDoor) Addr() net.Addr {
	return &net.UnixAddr{Name: fmt.Sprint("process ", os.Getpid()), Net: "unix"}
}
