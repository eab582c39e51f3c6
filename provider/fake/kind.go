package fake

import "github.com/hostler-project/hostler/provider"

// Kind is a pretended cloud.
var Kind = provider.New(provider.Kind{
	Name:   "fake",
	Traits: provider.Traits{Declares: true},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
}
