package slaposcmd

import (
	"cmp"
	"context"
	"sync"

	"github.com/hostler-project/hostler/cli/term"
	slapnode "github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/proto"
)

// daemon runs the node until ctx ends. With builds, it builds and removes software too.
func (n *NodeCommand) daemon(ctx context.Context, builds bool) error {
	sv, err := n.Supervisor(ctx)
	if err != nil {
		return err
	}
	defer sv.Close()
	a := n.agent(sv)
	if err := n.beside(ctx, a, sv); err != nil {
		return err
	}
	pass, err := n.reportPass(sv)
	if err != nil {
		return err
	}
	pass.Take = a.Take
	reported := func(ctx context.Context, run func(context.Context) (report.Outcome, error)) {
		if _, err := run(ctx); err != nil && ctx.Err() == nil {
			n.Warn("The report pass failed: %s", term.ErrorText(err))
		}
	}
	d := slapnode.Daemon{
		Agent: a,
		Watch: func(ctx context.Context, after int64) (int64, error) {
			return n.client.Watch(ctx, n.Node.Computer, after)
		},
		Report:  func(ctx context.Context) { reported(ctx, pass.Run) },
		Destroy: func(ctx context.Context) { reported(ctx, pass.Destroy) },
		// if the supervisor was killed, its next use starts it again
		Before: func(ctx context.Context) error {
			c, err := n.Supervisor(ctx)
			if err == nil {
				_ = c.Close()
			}
			return err
		},
	}
	if builds {
		d.Software = n.build
	}
	n.Say("This is the node %s of %s", n.Node.Computer, n.Node.Master)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { n.keepTelling(ctx, sv) })
	up := &uploader{n: n, ctx: ctx, now: map[string]context.CancelFunc{}}
	n.later = up.later
	defer up.all.Wait()
	defer cancel()
	return d.Run(ctx)
}

// build makes a pass over the wanted software. changed says that some was added or removed.
func (n *NodeCommand) build(ctx context.Context, c *proto.Computer) (changed bool) {
	b, err := n.Releases()
	if err != nil {
		n.Warn("The software pass failed: %s", term.ErrorText(err))
		return false
	}
	due := false
	was := make([]bool, len(c.Releases))
	for i, r := range c.Releases {
		was[i] = b.Done(r.URL)
		due = due || was[i] == (r.State == proto.Destroyed) || r.State == proto.Destroyed
	}
	if !due {
		return false
	}
	if _, err := b.Pass(ctx, n.client, c, software.PassOptions{}); err != nil && ctx.Err() == nil {
		n.Warn("The software pass failed: %s", term.ErrorText(err))
	}
	for i, r := range c.Releases {
		changed = changed || was[i] != b.Done(r.URL)
	}
	return changed
}

// plan prints what a pass would do.
func (n *NodeCommand) plan(ctx context.Context) error {
	c, err := n.client.Computer(ctx, n.Node.Computer)
	if err != nil {
		return err
	}
	views := []nodeStepView{}
	b, err := n.Releases()
	if err != nil {
		return err
	}
	for _, r := range c.Releases {
		v := nodeStepView{
			Kind: "software", Name: r.URL, Wanted: cmp.Or(r.State, proto.Available), Action: "look",
			Reason: "it is as it is wanted",
		}
		if r.State == proto.Destroyed {
			v.Action, v.Reason = "remove", "it is wanted destroyed"
		} else if !b.Done(r.URL) {
			v.Action, v.Reason = "build", "it is not completed"
		}
		views = append(views, v)
	}
	steps, err := n.agent(nil).Plan(c, slapnode.Options{Stop: n.Node.ForceStop})
	if err != nil {
		return err
	}
	for _, s := range steps {
		views = append(views, nodeStepView{"instance", s.Partition.ID, s.Partition.State, string(s.Action), s.Reason, s.Partition.Title})
	}
	if n.A.JSON {
		return n.A.PrintJSON(views)
	}
	rows := make([][]string, len(views))
	for i, v := range views {
		rows[i] = []string{v.Kind, v.Name, v.Wanted, v.Action, v.Reason}
	}
	return n.A.Table([]string{"kind", "name", "wanted", "action", "why"}, rows)
}
