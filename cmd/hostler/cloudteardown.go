package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

func newCloudTeardown(a *app) *cobra.Command {
	var o cloudOptions
	var dry, force bool
	var metadata string
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Delete a deployment, with all servers in it",
		Long: `Delete everything of a deployment: its servers, with their ports, volumes and floating IPs, then the router, the network, the security group and the key pair, and
the source that deploy wrote, if it is as it was written. What carries the marks of this installation and of the deployment goes, and what was recorded as made for it; nothing else does, whatever
its name. What is gone already is fine, what fails does not keep the rest from being tried, and at the end the cloud is asked what is left.

It goes on where another one was killed. Credentials of another project than the one that was deployed in are refused. While somebody has an instance of it leased it is refused too, without --force.`,
		Example: "  hostler cloud teardown --dry-run\n  hostler cloud teardown --cloud lab --resource-name team --force",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.cloudTeardown(cmd.Context(), &o, dry, force, metadata)
		},
	}
	o.flags(a, cmd, true)
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "only say what would be deleted")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "also while instances of it are leased")
	cmd.Flags().StringVar(&metadata, "metadata-service", "", "ask at this `URL` whether this machine is a server of the cloud, which then stays; none: do not ask (the cloud's own)")
	return cmd
}

func (a *app) cloudTeardown(ctx context.Context, o *cloudOptions, dry, force bool, metadata string) error {
	w, err := a.openCloud(ctx, o)
	if err != nil {
		return err
	}
	name := o.resource(a)
	if err := w.lock(name); err != nil {
		return err
	}
	rec, err := w.records.Deployment(ctx, name)
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	if err := w.unused(ctx, rec, force || dry); err != nil {
		return err
	}
	ctx, stop := a.untilSignal(ctx)
	defer stop()
	steps := []deployment.Step{}
	tell, end := a.stepsView(&steps)
	opt := w.options(tell)
	opt.DryRun, opt.Metadata = dry, metadata
	err = w.kind.teardown(ctx, opt)
	end()
	if err == nil && !dry {
		err = w.dropSource(rec)
	}
	if err != nil && len(steps) > 0 {
		err = errors.Join(a.printSteps(steps), err)
	}
	if err != nil {
		return a.interrupted(err, "what is deleted is gone, and the same command goes on")
	}
	if a.flags.json {
		state := "gone"
		if dry {
			state = deployment.Deployed
		}
		cloud, project, region := w.kind.where()
		return a.printJSON(cloudView{Name: name, Cloud: cloud, Project: project, Region: region, State: state, DryRun: dry, Steps: viewSteps(steps)})
	}
	return a.printSteps(steps)
}

// unused refuses while instances of the deployment's source are leased.
func (w *cloudWork) unused(ctx context.Context, rec *deployment.Record, force bool) error {
	if rec == nil || force || rec.Notes[noteSource] == "" {
		return nil
	}
	engine, err := w.engine(ctx)
	if err != nil {
		return err
	}
	leases, err := engine.Leases(ctx, compute.LeaseQuery{Source: rec.Name})
	if err != nil || len(leases) == 0 {
		return err
	}
	var names []string
	for _, l := range leases {
		names = append(names, fmt.Sprintf("%s by %s", l.Instance, l.Owner))
	}
	return conflict("have them released, or use --force", "%s: in use: %s", rec.Name, strings.Join(names, ", "))
}
