package sshhost

import "github.com/hostler-project/hostler/provider"

// Kind is hosts that are reached by ssh.
var Kind = provider.New(provider.Kind{
	Name:   "ssh",
	Traits: provider.Traits{Dear: true},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
}
