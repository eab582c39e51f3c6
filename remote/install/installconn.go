package install

import (
	"context"
	"errors"
	"net"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// Conn is an ssh log-in with the agent behind it. Commands in a workspace, and commands that are
// kept until they end, run by the agent, which is installed at the first of them. All others run by
// ssh. Its methods may be called from many goroutines.
type Conn struct {
	*sshconn.Conn
	id    compute.ID
	agent *Agent // nil: there are neither workspaces nor kept runs
}

var (
	_ compute.Conn          = (*Conn)(nil)
	_ provider.Workspacer   = (*Conn)(nil)
	_ provider.DetachedRuns = (*Conn)(nil)
)

// Over puts the agent behind a log-in to an instance. The Conn owns the log-in. mark tells the
// workspaces of one installation from those of another. find returns the program; with nil, calls
// that need the agent fail with ErrInvalid.
func Over(login *sshconn.Conn, id compute.ID, mark string, find agent.Finder) *Conn {
	c := &Conn{Conn: login, id: id}
	if find != nil {
		c.agent = New(login, options{Find: find, Work: Place(mark)})
	}
	return c
}

// Run implements compute.Conn.
func (c *Conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if h := cmd.Hold; cmd.Workspace == "" && (h == nil || !h.Keep && !h.Attach) {
		return c.Conn.Run(ctx, cmd)
	}
	a, err := c.client(ctx, "run")
	if err != nil {
		return compute.Exit{}, err
	}
	return a.Run(ctx, cmd)
}

// Workspace implements provider.Workspacer.
func (c *Conn) Workspace(ctx context.Context, token string) (net.Conn, error) {
	a, err := c.client(ctx, "workspace")
	if err != nil {
		return nil, err
	}
	return a.Workspace(ctx, token)
}

// Held implements provider.DetachedRuns.
func (c *Conn) Held(ctx context.Context) ([]provider.HeldRun, error) {
	a, err := c.client(ctx, "held")
	if err != nil {
		return nil, err
	}
	return a.Held(ctx)
}

func (c *Conn) client(ctx context.Context, op string) (*agent.Client, error) {
	if c.agent == nil {
		return nil, &compute.Error{
			Op: op, ID: c.id, Kind: compute.ErrInvalid, Err: errors.New("there is no agent to keep workspaces and runs"),
		}
	}
	return c.agent.Client(ctx)
}

// Close ends the agent and the log-in.
func (c *Conn) Close() error {
	if c.agent != nil {
		_ = c.agent.Close()
	}
	return c.Conn.Close()
}
