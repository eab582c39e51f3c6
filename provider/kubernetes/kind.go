package kubernetes

import "github.com/hostler-project/hostler/provider"

// Kind is pods of a Kubernetes cluster.
var Kind = provider.New(provider.Kind{
	Name:   "kubernetes",
	Traits: provider.Traits{Slow: true, Dear: true, Grows: true, Ahead: "warm"},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
	o.Requested, o.Others = s.Requested, s.Others
}
