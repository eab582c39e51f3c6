package deploycmd

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

// run makes the nodes.
func (d *deploying) run(ctx context.Context) ([]*deploy.Node, error) {
	requests := map[*variant]compute.Request{}
	for _, v := range d.all {
		req, err := d.request(v)
		if err != nil {
			return nil, err
		}
		if req.Owner = d.owner; req.Wait == 0 && d.opt.Wait.Given {
			req.Wait = d.opt.Wait.Value
		}
		requests[v] = req
	}
	opt := deploy.Options{
		Names: d.names, Request: requests[d.all[0]], Parallel: cmp.Or(d.opt.parallel, d.settings.Parallel),
		AllOrNothing: d.opt.allOrNothing, OnFailure: deploy.OnFailure(d.opt.onFailure),
		Acquire: d.engine.Acquire, Release: d.release, Look: d.look, Connect: d.connect, Tell: d.show.tell,
		Prepare: func(n *deploy.Node, req *compute.Request) error {
			own := requests[d.by[n.Name]]
			req.Image, req.Flavor, req.Location = own.Image, own.Flavor, own.Location
			for _, key := range []string{"bundles", "image", "flavor"} { // the others are alike
				delete(req.Labels, key)
			}
			maps.Copy(req.Labels, own.Labels)
			return nil
		},
	}
	if len(d.names) == 1 { // for one request, show why it waits
		opt.Acquire = func(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
			return leasecmd.Take(d.app, ctx, d.engine, req)
		}
	}
	if d.planned() {
		opt.Apply = d.apply
		d.boot(&opt)
	}
	if !d.app.Compat && d.app.CanAsk() {
		opt.Ask = func(n *deploy.Node) bool { return d.app.Confirm(fmt.Sprintf("%s failed: destroy it?", n.Name)) }
	}
	nodes, err := deploy.Run(ctx, opt)
	for _, n := range nodes {
		if n.State == deploy.Failed {
			d.show.say(n, "it is kept as %s: hostler shell %s, hostler destroy %s%s", n.Instance.ID, n.Name, n.Name, d.goOn(n))
		}
	}
	return nodes, err
}

// goOn returns the command that continues the set-up of a failed node, or "". Values may be secret
// and are left out.
func (d *deploying) goOn(n *deploy.Node) string {
	v := d.by[n.Name]
	if v.plan == nil || d.opt.old || len(v.plan.Bundles()) == 0 {
		return ""
	}
	words := "; to go on where it failed: hostler bundle apply"
	for _, b := range v.plan.Bundles() {
		words += " " + b.Name
	}
	words += " --on " + n.Name
	if d.as() == "self" {
		words += " --as self"
	}
	for _, name := range v.plan.Wants() {
		words += " -t " + name + "=..."
	}
	return words
}

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

// became describes what exists after an interrupt.
func became(nodes []*deploy.Node) string {
	by := map[deploy.State][]string{}
	for _, n := range nodes {
		by[n.State] = append(by[n.State], n.Name)
	}
	var parts []string
	for _, s := range []struct {
		state deploy.State
		text  string
	}{{deploy.Done, "ready"}, {deploy.Failed, "kept, and not all is on it"}, {deploy.Destroyed, "destroyed"}} {
		if names := by[s.state]; len(names) > 0 {
			parts = append(parts, strings.Join(names, ", ")+": "+s.text)
		}
	}
	if len(parts) == 0 {
		return "nothing is made"
	}
	return strings.Join(parts, "; ")
}
