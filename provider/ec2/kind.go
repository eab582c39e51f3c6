package ec2

import "github.com/hostler-project/hostler/provider"

// Kind is servers of EC2.
var Kind = provider.New(provider.Kind{
	Name:   "ec2",
	Traits: provider.Traits{Slow: true, Dear: true, Grows: true, Cloud: true},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
}
