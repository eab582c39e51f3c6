package cloudcmd

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
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

// flags declares the options.
func (o *cloudDeployOptions) flags(a *cli.App, cmd *cobra.Command) {
	o.cloudOptions.flags(a, cmd, true)
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
}
