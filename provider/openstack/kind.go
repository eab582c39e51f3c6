package openstack

import (
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is servers of an OpenStack cloud.
var Kind = catalog.New(catalog.Kind{
	Name:   "openstack",
	Traits: catalog.Traits{Slow: true, Dear: true, Grows: true, Costs: true},
	Tree:   catalog.Waits("makes servers in a cloud with your credentials", "*"),
	Others: catalog.Everybody, LeadsTo: catalog.LeadsTo("computers of your account (openstack)"),
	Remote: []string{
		"cloud", "region", "rate-limit", "deployment", "image", "flavor", "cores", "memory", "disk", "flavor-regex",
		"flavor-sets", "flavor-order", "volume-type", "zone", "server-group", "config-drive", "metadata", "network",
		"security-groups", "floating-ip", "floating-ip-pool", "user", "key", "stop", "build-timeout", "poll",
	},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
}
