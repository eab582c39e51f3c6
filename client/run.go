package client

import (
	"context"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote"
)

// Run runs a command on an instance under who's lease, over a connection of its own, and waits for
// its end. Meanwhile the lease counts as used; when the lease ends, the command is killed. For
// several commands one connection is faster: Connect.
func (c *Client) Run(ctx context.Context, who compute.Who, name compute.ID, cmd *compute.Command) (compute.Exit, error) {
	conn, err := c.Connect(ctx, who, name)
	if err != nil {
		return compute.Exit{}, err
	}
	defer conn.Close()
	return conn.Run(ctx, cmd)
}

// Place is one end of a copy: a path on an instance, or on this machine if Instance is "".
// remote.Side says how paths are read.
type Place struct {
	Instance compute.ID
	Path     string
}

// Copy copies files and trees to, from and between instances under who's leases, as `hostler cp`
// does.
func (c *Client) Copy(ctx context.Context, who compute.Who, from, to Place, opt remote.CopyOptions) error {
	ends := [2]remote.Side{{Path: from.Path}, {Path: to.Path}}
	for i, name := range []compute.ID{from.Instance, to.Instance} {
		switch {
		case name == "":
		case i == 1 && name == from.Instance:
			ends[1].Conn = ends[0].Conn
		default:
			conn, err := c.Connect(ctx, who, name)
			if err != nil {
				return err
			}
			defer conn.Close()
			ends[i].Conn = conn
		}
	}
	return remote.Copy(ctx, ends[0], ends[1], opt)
}

// Forward listens on one side and forwards to the other, as remote.Forward does, until ctx or the
// connection ends. It returns ctx's error when ctx ended. log may be nil.
func (c *Client) Forward(ctx context.Context, who compute.Who, name compute.ID, spec remote.ForwardSpec, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	conn, err := c.Connect(ctx, who, name)
	if err != nil {
		return err
	}
	defer conn.Close()
	return remote.Forward(ctx, conn, spec, log)
}
