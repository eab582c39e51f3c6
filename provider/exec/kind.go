package exec

import "github.com/hostler-project/hostler/provider"

// Kind stands for all kinds that are executables of the user's.
var Kind = provider.New(provider.Kind{
	Traits: provider.Traits{External: true, Slow: true, Grows: true},
	Others: provider.Everybody,
}, open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *options, s provider.Site) {
	o.Type, o.Source, o.Installation, o.Dir, o.Secret = s.Type, s.Source, s.Installation, s.Dir, s.Secret
}
