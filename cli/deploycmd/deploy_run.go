package deploycmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
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
	d.sayMadeUp(requests[d.all[0]].TTL)
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

// deploy makes all nodes, and their reports.
func (d *deploying) deploy(ctx context.Context) ([]*deploy.Node, error) {
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	a := d.app
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	nodes, err := d.run(ctx)
	a.Ring(context.WithoutCancel(ctx))
	err = errors.Join(err, d.reports(context.WithoutCancel(ctx), nodes))
	if s := a.Signal(); s != "" && errors.Is(err, context.Canceled) {
		err = &term.Interruption{Signal: s, Became: became(nodes)}
	}
	return nodes, err
}
