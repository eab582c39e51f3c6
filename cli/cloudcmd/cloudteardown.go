package cloudcmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
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
		opt.Store = dropping{w.records, func() error { return w.dropWritten(rec, func(string) bool { return false }) }}
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
			Steps: viewSteps(steps),
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

// sourcesOf returns the sources whose computers are in a deployment: the one that deploy wrote, and
// those that name it.
func (w *cloudWork) sourcesOf(name string, rec *deployment.Record) (out []string, err error) {
	if rec == nil {
		return nil, nil // no source could find anything
	}
	if rec.Notes[noteSource] != "" {
		out = append(out, name)
	}
	cfg, err := w.app.Host.Configuration()
	if err != nil {
		return nil, err
	}
	for _, s := range cfg.Sources {
		if s.Kind.Cloud && s.Settings["deployment"] == name && !slices.Contains(out, s.Name) {
			out = append(out, s.Name)
		}
	}
	return out, nil
}

// unused is an error while instances of a deployment's sources are leased.
func (w *cloudWork) unused(ctx context.Context, name string, sources []string, force bool) error {
	if force || len(sources) == 0 {
		return nil
	}
	engine, err := w.app.Engine(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, source := range sources {
		leases, err := engine.Leases(ctx, compute.LeaseQuery{Source: source})
		if err != nil {
			return err
		}
		for _, l := range leases {
			names = append(names, fmt.Sprintf("%s by %s", l.Instance, l.Owner))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fault.Conflict("have them released, or use --force", "%s: in use: %s", name, strings.Join(names, ", "))
}

// giveUp makes the engine discard the instances of a deployment's sources with their hooks, except
// this server. It does so only if a teardown is allowed, and for some minutes at most. The teardown
// deletes the rest, and the engine notices later.
func (w *cloudWork) giveUp(ctx context.Context, opt deployment.Options, sources []string) error {
	tell := opt.Tell
	stay := map[string]bool{}
	opt.DryRun, opt.Tell = true, func(s deployment.Step) {
		if s.Did == deployment.Left && s.Kind == deployment.Server {
			stay[s.Name], stay[s.ID] = true, true
		}
	}
	if err := w.cloud.Teardown(ctx, opt); err != nil || len(sources) == 0 {
		return err
	}
	engine, err := w.app.Engine(ctx)
	if err != nil {
		return err
	}
	var ids []compute.ID
	var steps []deployment.Step
	for _, source := range sources {
		all, err := engine.Instances(ctx, compute.InstanceQuery{Source: source})
		if err != nil {
			return err
		}
		for _, i := range all {
			if !stay[string(i.ID)] && !stay[i.ProviderID] {
				ids = append(ids, i.ID)
				steps = append(
					steps,
					deployment.Step{Did: deployment.Deleted, Kind: deployment.Server, Name: string(i.ID), ID: i.ProviderID},
				)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	const most = 5 * time.Minute
	until, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	who := w.app.Who(ctx, engine)
	who.Admin = true
	err = engine.Release(until, who, compute.ReleaseOptions{Force: true, Discard: true}, ids...)
	if err == nil {
		err = leasecmd.AtRest(w.app, until, engine, ids)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		w.app.Log.Warn(
			"instances of the deployment are not discarded: their servers are deleted all the same", "deployment",
			opt.Name, "err", err,
		)
		return nil
	}
	for _, s := range steps {
		tell(s)
	}
	return nil
}
