package openstack

import "github.com/hostler-project/hostler/provider"

// Kind is servers of an OpenStack cloud.
var Kind = provider.New(provider.Kind{
	Name:   "openstack",
	Traits: provider.Traits{Slow: true, Dear: true, Grows: true, Costs: true},
	Tree:   provider.Waits("makes servers in a cloud with your credentials", "*"),
	Others: provider.Everybody, LeadsTo: provider.LeadsTo("computers of your account (openstack)"),
	Remote: []string{
		"cloud", "region", "rate-limit", "deployment", "image", "flavor", "cores", "memory", "disk", "flavor-regex",
		"flavor-sets", "flavor-order", "volume-type", "zone", "server-group", "config-drive", "metadata", "network",
		"security-groups", "floating-ip", "floating-ip-pool", "user", "key", "stop", "build-timeout", "poll",
	},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
}
