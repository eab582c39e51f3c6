package cloudcmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

func newCloudTeardown(a *cli.App) *cobra.Command {
	var o cloudOptions
	var dry, force bool
	var metadata string
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Delete a deployment, with all servers in it",
		Long: `Delete everything of a deployment: the instances of its sources, with their hooks, its servers, with their ports, volumes and floating IPs, then the router, the network, the security group and the key pair, and
the source that deploy wrote, if it is as it was written. What carries the marks of this installation and of the deployment goes, and what was recorded as made for it; nothing else does, whatever
its name. What is gone already is fine, what fails does not keep the rest from being tried, and at the end the cloud is asked what is left.

It goes on where another one was killed. Credentials of another project than the one that was deployed in are refused. While somebody has an instance of it leased it is refused too, without --force.`,
		Example: "  hostler cloud teardown --dry-run\n  hostler cloud teardown --cloud lab --resource-name team --force",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cloudTeardown(a, cmd.Context(), &o, dry, force, metadata)
		},
	}
	o.flags(a, cmd, true)
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "only say what would be deleted")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "also while instances of it are leased")
	cmd.Flags().StringVar(
		&metadata, "metadata-service", "",
		"ask at this `URL` whether this machine is a server of the cloud, which then stays; none: do not ask (the cloud's own)",
	)
	return cmd
}

// cloudTeardown gives up the instances of a deployment and removes all that was made for it,
// unless they are in use.
func cloudTeardown(a *cli.App, ctx context.Context, o *cloudOptions, dry, force bool, metadata string) error {
	name := o.resource(a)
	if err := deployment.CheckName(name); err != nil {
		return err
	}
	w, err := openCloud(a, ctx, o)
	if err != nil {
		return err
	}
	if err := w.lock(name); err != nil {
		return err
	}
	rec, err := w.records.Deployment(ctx, name)
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	sources, err := w.sourcesOf(name, rec)
	if err != nil {
		return err
	}
	if err := w.unused(ctx, name, sources, force || dry); err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	steps := []deployment.Step{}
	tell, end := stepsView(a, &steps)
	opt := w.options(tell)
	opt.DryRun, opt.Metadata = dry, metadata
	if !dry {
		opt.Store = dropping{w.records, func() error { return clouds.DropSource(rec, w.stays) }}
		err = w.giveUp(ctx, opt, sources)
	}
	if err == nil {
		err = w.cloud.Teardown(ctx, opt)
	}
	end()
	if err != nil && len(steps) > 0 {
		err = errors.Join(printSteps(a, steps), err)
	}
	if err != nil {
		return a.Interrupted(err, "what is deleted is gone, and the same command goes on")
	}
	if a.JSON {
		state := "gone"
		if dry {
			state = deployment.Deployed
		}
		return a.PrintJSON(cloudView{
			Name: name, Cloud: w.place.Cloud, Project: w.place.Project, Region: w.place.Region, State: state, DryRun: dry,
			Steps: append([]deployment.Step{}, steps...),
		})
	}
	return printSteps(a, steps)
}

// dropping removes a record only after the files that were written for it.
type dropping struct {
	clouds.Deployments
	before func() error
}

func (d dropping) DropDeployment(ctx context.Context, name string) error {
	if err := d.before(); err != nil {
		return err
	}
	return d.Deployments.DropDeployment(ctx, name)
}
