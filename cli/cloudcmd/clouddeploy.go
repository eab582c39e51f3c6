package cloudcmd

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

func newCloudDeploy(a *cli.App) *cobra.Command {
	var o cloudDeployOptions
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Make what servers of a cloud need: key pair, security group, network, router",
		Long: `Make what the servers of a project need beside themselves, under one name: a key pair, whose private half stays here, a security group, a network with a subnet, and
a router. It may be repeated: what is there is used, what is half-made is completed, what was changed is put right. A thing of that name that somebody else made is used
as it is. Run on a server of the cloud it uses that server's own network, and makes no other. With -p ec2 a key pair and a security group are made, and no network: --subnets
names those to use.

Ports are open to the deployment's own network alone, until --from says to whom else.

With --os it writes a source of the deployment's name too, so that acquire and run make servers in it, of the cheapest flavor that is large enough. --head takes one
of these at once and keeps it, under the name NAME-head.`,
		Example: "  hostler cloud deploy --cloud lab --from 203.0.113.0/24\n  hostler cloud deploy --os debian-12 --username debian --os-ram 4G --max-servers 10 --head\n  hostler cloud deploy --network-cidr 10.1.0.0/24 --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cloudDeploy(a, cmd.Context(), &o) },
	}
	o.flags(a, cmd)
	return cmd
}

// cloudDeploy makes what servers need and, if that is asked for, a source and its head.
func cloudDeploy(a *cli.App, ctx context.Context, o *cloudDeployOptions) error {
	name := o.resource(a)
	o.settings.Ports = slices.DeleteFunc(o.settings.Ports, func(p string) bool { return p == "" })
	if err := deployment.CheckName(name); err != nil {
		return err
	}
	if err := o.source.check(name, o.head || o.headFlavor != ""); err != nil {
		return err
	}
	o.head = o.head || o.headFlavor != ""
	costs, err := cloudPrices(a)
	if err != nil {
		return err
	}
	w, err := openCloud(a, ctx, &o.cloudOptions)
	if err != nil {
		return err
	}
	if err := w.lock(name); err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	until, cancel := context.WithTimeout(ctx, o.timeout.Value)
	defer cancel()
	if o.timeout.Value == 0 {
		until = ctx
	}
	steps := []deployment.Step{}
	tell, end := stepsView(a, &steps)
	opt := w.options(tell)
	opt.DryRun, opt.RotateKey, opt.Metadata = o.dry, o.rotate, o.metadata
	var hourly *float64
	if o.source.os != "" {
		if hourly, err = w.estimate(until, &o.source, costs); err != nil {
			return err
		}
		if o.headFlavor, err = w.flavorOfHead(until, &o.source, o.headFlavor); err != nil {
			return err
		}
	}
	settings := o.settings
	if !o.said("network-cidr") {
		settings.CIDR = "" // the cloud's usual one, if it makes networks at all
	}
	if !o.said("network-dns") {
		settings.DNS = nil
	}
	rec, keyFile, err := w.cloud.Deploy(until, opt, settings)
	end()
	if err != nil {
		if len(steps) > 0 && !a.JSON {
			err = errors.Join(printSteps(a, steps), err)
		}
		return a.Interrupted(err, "what is made stays, and the same command goes on; hostler cloud teardown takes it down")
	}
	v := cloudView{Name: name, Cloud: rec.Cloud, Project: rec.Project, Region: rec.Region,
		State: cmp.Or(rec.State, "absent"), DryRun: o.dry, InCloud: rec.InCloud, KeyFile: keyFile,
		Hourly: hourly, Currency: costs.currency, Steps: append([]deployment.Step{}, steps...)}
	if o.source.os != "" {
		if v.SourceFile, err = w.writeSource(ctx, rec, o); err != nil {
			return err
		}
	}
	if o.head && !o.dry {
		if v.Head, err = takeHead(a, ctx, name, o.headFlavor); err != nil {
			return a.Interrupted(err, "the deployment is there, and the head is not")
		}
	}
	if err := w.printDeployed(v, steps, o, costs); err != nil {
		return err
	}
	return onSuccess(a, ctx, o, v)
}
