package ironic

import (
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is bare-metal nodes.
var Kind = catalog.New(catalog.Kind{
	Name:    "ironic",
	Traits:  catalog.Traits{Slow: true, Dear: true, Grows: true, Tally: true, Costs: true},
	Tree:    catalog.Waits("takes bare-metal nodes with your credentials", "*"),
	Others:  catalog.Everybody,
	LeadsTo: catalog.LeadsTo("computers of your account (ironic)"),
	Remote: []string{
		"cloud", "region", "rate-limit", "image", "resource-class", "traits", "properties", "capabilities",
		"conductor-group", "shard", "user", "deploy-timeout",
	},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
}
