package vm

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/vm/port"
	"github.com/hostler-project/hostler/remote/agent"
)

// conn is a compute.Conn to a machine. Its first use wakes the machine.
type conn struct {
	p  *Provider
	id compute.ID

	turn   chan struct{} // one slot, as a lock of the fields below
	line   *port.Line
	client *agent.Client
	closed bool
}

var (
	_ provider.Dialer     = (*conn)(nil)
	_ provider.Listener   = (*conn)(nil)
	_ provider.FactReader = (*conn)(nil)
)

func newConn(p *Provider, id compute.ID) *conn {
	return &conn{p: p, id: id, turn: make(chan struct{}, 1)}
}

// get returns the client, and first wakes the machine if need be.
func (c *conn) get(ctx context.Context) (*agent.Client, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.turn }()
	if c.closed {
		return nil, &compute.Error{Op: "vm", ID: c.id, Kind: compute.ErrLost, Err: errors.New("the connection was closed")}
	}
	if c.client == nil {
		l, err := c.p.entrance.wake(ctx, c.id)
		if err != nil {
			if errors.Is(err, compute.ErrNotFound) { // it was there when we connected
				err = &compute.Error{Op: "vm", ID: c.id, Kind: compute.ErrLost, Err: err}
			}
			return nil, err
		}
		c.line, c.client = l, agent.New(l)
	}
	return c.client, nil
}

// Run implements compute.Conn.
func (c *conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	a, err := c.get(ctx)
	if err != nil {
		return compute.Exit{}, err
	}
	if user := c.p.o.User; cmd.User == "" && user != "root" {
		as := *cmd
		as.User = user
		cmd = &as
	}
	return a.Run(ctx, cmd)
}

// Put implements compute.Conn.
func (c *conn) Put(ctx context.Context, dir string, tar io.Reader) error {
	a, err := c.get(ctx)
	if err != nil {
		return err
	}
	return a.Put(ctx, dir, tar)
}

// Get implements compute.Conn.
func (c *conn) Get(ctx context.Context, path string, w io.Writer) error {
	a, err := c.get(ctx)
	if err != nil {
		return err
	}
	return a.Get(ctx, path, w)
}

// Dial implements provider.Dialer.
func (c *conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	a, err := c.get(ctx)
	if err != nil {
		return nil, err
	}
	return a.Dial(ctx, network, address)
}

// Listen implements provider.Listener.
func (c *conn) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	a, err := c.get(ctx)
	if err != nil {
		return nil, err
	}
	return a.Listen(ctx, network, address)
}

// informer is the client's ability to tell about its computer.
func (c *conn) informer(ctx context.Context) (provider.FactReader, error) {
	a, err := c.get(ctx)
	if err != nil {
		return nil, err
	}
	i, ok := provider.As[provider.FactReader](a)
	if !ok {
		return nil, &compute.Error{Op: "vm", ID: c.id, Kind: compute.ErrInvalid, Err: errors.New("the agent in the machine cannot tell")}
	}
	return i, nil
}

// Facts implements provider.FactReader.
func (c *conn) Facts(ctx context.Context) (compute.Facts, error) {
	i, err := c.informer(ctx)
	if err != nil {
		return compute.Facts{}, err
	}
	return i.Facts(ctx)
}

// Usage implements provider.FactReader.
func (c *conn) Usage(ctx context.Context) (compute.Usage, error) {
	i, err := c.informer(ctx)
	if err != nil {
		return compute.Usage{}, err
	}
	return i.Usage(ctx)
}

// Close implements compute.Conn. A machine that was not used stays paused.
func (c *conn) Close() error {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.client == nil {
		return nil
	}
	err := c.client.Close()
	c.line.Release() // if the client did not come so far
	return err
}

// Workspace implements provider.Workspacer.
func (c *conn) Workspace(ctx context.Context, token string) (net.Conn, error) {
	a, err := c.get(ctx)
	if err != nil {
		return nil, err
	}
	return a.Workspace(ctx, token)
}
