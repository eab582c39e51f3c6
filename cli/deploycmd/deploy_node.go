package deploycmd

import (
	"cmp"
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

func (d *deploying) who(n *deploy.Node) compute.Who {
	return compute.Who{Owner: d.owner, Lease: n.Lease.ID}
}

// look returns a node's instance, with the facts of the real one if a pool is in front of it.
func (d *deploying) look(ctx context.Context, l compute.Lease) (compute.Instance, error) {
	i, _, err := d.engine.Resolve(ctx, string(l.Instance))
	if err == nil && i.Child != "" {
		var leaf compute.Instance
		if leaf, err = d.engine.Leaf(ctx, i.ID); err == nil {
			leaf = sshFacts(d.app, ctx, leaf)
			i.Facts, i.ProviderID = leaf.Facts, cmp.Or(i.ProviderID, leaf.ProviderID)
			i.Address = cmp.Or(i.Address, leaf.Address)
		}
	} else if err == nil {
		i = sshFacts(d.app, ctx, i)
	}
	return i, err
}

// connect connects to a node without the keeper, since no later command needs the connection.
func (d *deploying) connect(ctx context.Context, n *deploy.Node) (compute.Conn, error) {
	return d.app.ConnectOnce(ctx, d.engine, d.who(n), n.Instance)
}

// release destroys a node.
func (d *deploying) release(ctx context.Context, n *deploy.Node) error {
	return d.engine.Release(ctx, d.who(n), compute.ReleaseOptions{Force: true}, n.Instance.ID)
}
