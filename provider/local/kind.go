package local

import "github.com/hostler-project/hostler/provider"

// Kind is this machine itself.
var Kind = provider.New(provider.Kind{
	Name:    "local",
	Traits:  provider.Traits{Itself: true, BuiltIn: true, NoRebuild: "as-is"},
	Tree:    provider.Waits("runs commands on this machine", "*"),
	Others:  provider.OwnUser,
	LeadsTo: provider.LeadsTo("this machine itself"),
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
}
