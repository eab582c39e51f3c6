package ironic

import "github.com/hostler-project/hostler/provider"

// Kind is bare-metal nodes.
var Kind = provider.New(provider.Kind{
	Name:   "ironic",
	Traits: provider.Traits{Slow: true, Dear: true, Grows: true, Tally: true},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
}
