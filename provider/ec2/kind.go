package ec2

import (
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is servers of EC2.
var Kind = catalog.New(catalog.Kind{
	Name:    "ec2",
	Traits:  catalog.Traits{Slow: true, Dear: true, Grows: true, Costs: true, NoRebuild: "no"},
	Tree:    catalog.Waits("makes servers in a cloud with your credentials", "*"),
	Others:  catalog.Everybody,
	LeadsTo: catalog.LeadsTo("computers of your account (ec2)"),
	Remote: []string{
		"region", "profile", "image", "image-owners", "types", "cores", "memory", "type-match", "flavor-sets",
		"flavor-order", "spot", "max-price", "spot-price", "prices", "subnets", "zones", "security-groups", "public-ip",
		"address", "tags", "key", "user", "ssh-port", "volume-size", "volume-type", "volume-encrypted", "stop",
		"attempts", "poll", "deployment",
	},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
}
