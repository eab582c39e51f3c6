package service

import (
	"cmp"
	"context"
	"sync"

	"github.com/hostler-project/hostler/api"
	slaposnode "github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/proto"
)

// Run makes all passes, again and again, until ctx ends. With builds, it builds and removes
// software too.
func (n *Node) Run(ctx context.Context, builds bool) error {
	sv, err := n.Supervisor(ctx)
	if err != nil {
		return err
	}
	defer sv.Close()
	a := n.agent(sv)
	if err := n.addHooks(ctx, a, sv); err != nil {
		return err
	}
	pass, err := n.reportPass(sv)
	if err != nil {
		return err
	}
	pass.Take = a.Take
	reported := func(ctx context.Context, run func(context.Context) (report.Outcome, error)) {
		if _, err := run(ctx); err != nil && ctx.Err() == nil {
			n.Log.Warn("The report pass failed: %s", api.Text(err))
		}
	}
	d := slaposnode.Daemon{
		Agent: a,
		Watch: func(ctx context.Context, after int64) (int64, error) {
			return n.master.Watch(ctx, n.Settings.Computer, after)
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
	n.Log.Say("This is the node %s of %s", n.Settings.Computer, n.Settings.Master)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { n.keepTelling(ctx, sv) })
	up := &uploader{log: n.Log, ctx: ctx, now: map[string]context.CancelFunc{}}
	if builds {
		d.Software = (&releases{n, up.later}).build
	}
	defer up.all.Wait()
	defer cancel()
	return d.Run(ctx)
}

// build makes a pass over the wanted software. changed says that some was added or removed.
func (r *releases) build(ctx context.Context, c *proto.Computer) (changed bool) {
	n := r.node
	b, err := r.builder()
	if err != nil {
		n.Log.Warn("The software pass failed: %s", api.Text(err))
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
	if _, err := b.Pass(ctx, n.master, c, software.PassOptions{}); err != nil && ctx.Err() == nil {
		n.Log.Warn("The software pass failed: %s", api.Text(err))
	}
	for i, r := range c.Releases {
		changed = changed || was[i] != b.Done(r.URL)
	}
	return changed
}

// Plan returns what a pass would do.
func (n *Node) Plan(ctx context.Context) ([]Step, error) {
	c, err := n.master.Computer(ctx, n.Settings.Computer)
	if err != nil {
		return nil, err
	}
	steps := []Step{}
	b, err := n.Builder()
	if err != nil {
		return nil, err
	}
	for _, r := range c.Releases {
		s := Step{
			Kind: "software", Name: r.URL, Wanted: cmp.Or(r.State, proto.Available), Action: "look",
			Reason: "it is as it is wanted",
		}
		if r.State == proto.Destroyed {
			s.Action, s.Reason = "remove", "it is wanted destroyed"
		} else if !b.Done(r.URL) {
			s.Action, s.Reason = "build", "it is not completed"
		}
		steps = append(steps, s)
	}
	instances, err := n.agent(nil).Plan(c, slaposnode.Options{Stop: n.Settings.ForceStop})
	for _, s := range instances {
		steps = append(steps, Step{"instance", s.Partition.ID, s.Partition.State, string(s.Action), s.Reason, s.Partition.Title})
	}
	return steps, err
}
