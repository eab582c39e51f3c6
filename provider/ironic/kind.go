package ironic

import "github.com/hostler-project/hostler/provider"

// Kind is bare-metal nodes.
var Kind = provider.New(provider.Kind{
	Name:    "ironic",
	Traits:  provider.Traits{Slow: true, Dear: true, Grows: true, Tally: true, Costs: true},
	Tree:    provider.Waits("takes bare-metal nodes with your credentials", "*"),
	Others:  provider.Everybody,
	LeadsTo: provider.LeadsTo("computers of your account (ironic)"),
	Remote: []string{
		"cloud", "region", "rate-limit", "image", "resource-class", "traits", "properties", "capabilities",
		"conductor-group", "shard", "user", "deploy-timeout",
	},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
}
