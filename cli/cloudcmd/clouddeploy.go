package cloudcmd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// cloudDeployOptions are the options of `cloud deploy`.
type cloudDeployOptions struct {
	cloudOptions
	settings            deployment.Settings
	dry, rotate         bool
	metadata            string
	timeout             bareFlag
	source              cloudSource
	head                bool
	headFlavor, success string
}

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
	o.flags(a, cmd, true)
	f, s := cmd.Flags(), &o.settings
	f.StringSliceVar(&s.Ports, "ports", []string{"22"}, "the `PORTS` that others may reach: 22,8000-8010,udp/53; \"\": no security group")
	f.StringSliceVar(
		&s.From, "from", nil,
		"the ranges of addresses, `CIDR`, from which; 0.0.0.0/0 is everybody (the deployment's own network)",
	)
	f.StringVar(&s.Network, "network", "", "use the network of this `NAME` or id, and make none")
	f.StringVar(&s.CIDR, "network-cidr", deployment.DefaultCIDR, "the range of the subnet, `CIDR`; in a cloud, of the one to use")
	f.StringVar(&s.Gateway, "network-gateway-ip", "", "the `ADDRESS` of its gateway (the first one)")
	f.StringVar(&s.CIDR6, "network-cidr6", "", "make a subnet for IPv6 too, of the range `CIDR`")
	f.StringSliceVar(&s.DNS, "network-dns", deployment.DefaultDNS, "the `ADDRESSES` of name servers")
	f.BoolVar(&s.NoDHCP, "no-dhcp", false, "tell servers their address by a config drive alone")
	f.StringVar(
		&s.External, "external-network", "",
		"the `NAME` or id of the network of floating IPs; none: no router (the only one there is)",
	)
	f.BoolVar(&s.ConfigDrive, "config-drive", false, "tell servers of the source what they are told on a disk too")
	f.StringVar(
		&o.metadata, "metadata-service", "",
		"ask at this `URL` whether this machine is a server of the cloud; none: do not ask (the cloud's own)",
	)
	f.BoolVarP(&o.dry, "dry-run", "n", false, "only say what would be made")
	f.BoolVar(
		&o.rotate, "rotate-key", false,
		"have another key pair made; servers that run know only the old one, which stays beside it as FILE.old",
	)
	o.timeout = bareFlag{term.DurationFlag{Value: 10 * time.Minute, Given: true}, time.Second}
	f.VarP(&o.timeout, "timeout", "t", "give up after `D`, a number alone is seconds; the same command goes on")
	f.StringSliceVar(&o.source.subnets, "subnets", nil, "of EC2: the `SUBNETS` of the source, tried in order (the region's own)")
	o.subnets = &o.source.subnets
	o.source.flags(cmd)
	f.BoolVar(&o.head, "head", false, "take one server of the source and keep it, as NAME-head")
	f.StringVar(
		&o.headFlavor, "manager-flavor", "",
		"make that one of the flavor of this name, or of the cheapest whose name matches `REGEX`",
	)
	f.StringVarP(
		&o.success, "on-success", "x", "",
		"run `COMMAND` by sh here afterwards, with HOSTLER_CLOUD and HOSTLER_HEAD in its environment",
	)
	return cmd
}

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

// need returns what a flavor of the source must have, beside a matching name.
func (s *cloudSource) need(regex string) flavor.Need {
	const mib = 1 << 20
	return flavor.Need{Cores: 1, RAM: int((s.ram.Bytes + mib - 1) / mib), Regex: regex}
}
