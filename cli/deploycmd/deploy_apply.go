package deploycmd

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
)

// apply puts the bundles on a node.
func (d *deploying) apply(ctx context.Context, conn compute.Conn, n *deploy.Node) error {
	v := d.by[n.Name]
	if v.plan == nil {
		return nil
	}
	_, booting := d.booting.Load(n.Name)
	out, err := d.show.writer(n)
	if err != nil {
		return err
	}
	facts := host.BundleFacts(&n.Instance)
	facts["name"] = n.Name
	result, err := bundle.Apply(ctx, conn, v.plan, bundle.ApplyOptions{
		Facts: facts, As: d.as(), Continue: d.opt.old, Due: !booting, LockWait: bootWait(booting),
		Reconnect: func(ctx context.Context) (compute.Conn, error) {
			return host.ConnectPatiently(ctx, func() (compute.Conn, error) { return d.connect(ctx, n) })
		},
		Output: func(*bundle.Step) (stdout, stderr io.Writer) { return out, out },
		Notify: func(o bundle.Outcome) {
			if o.Action == bundle.Running {
				out.say(o.Step.Title())
			}
		},
	})
	if result != nil {
		n.Steps = steps(result)
	}
	n.Bundles = v.bundles()
	if d.opt.old && result != nil &&
		slices.ContainsFunc(result.Outcomes, func(o bundle.Outcome) bool { return o.Exit != 0 && o.Err == err }) {
		err = nil // the old command reports it by its exit status
	}
	return errors.Join(err, out.Close())
}

// steps converts the outcome of a plan, without steps that are not for this node.
func steps(r *bundle.Result) (out []deploy.Step) {
	for _, o := range r.Outcomes {
		if o.Action == bundle.Skipped {
			continue
		}
		s := deploy.Step{
			Name: o.Step.Name, Script: o.Step.Kind == bundle.KindScript, Status: o.Exit, Took: o.Took,
			Output: o.Stdout + o.Stderr,
		}
		s.Same = o.Action == bundle.Same || o.Action == bundle.Pending
		if s.Script && !s.Same {
			s.Text = o.Step.Text
		}
		if s.Script && o.Err != nil && s.Status == 0 {
			s.Status = statusOfNone // it was killed, or took too long
		}
		out = append(out, s)
	}
	return out
}

// statusOfNone stands for a script that has no exit status of its own.
const statusOfNone = 1
