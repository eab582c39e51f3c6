package exec

import (
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind stands for all kinds that are executables of the user's.
var Kind = catalog.New(catalog.Kind{
	Traits: catalog.Traits{External: true, Slow: true, Grows: true},
	Others: catalog.Everybody,
}, open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *options, s catalog.Site) {
	o.Type, o.Source, o.Installation, o.Dir, o.Secret = s.Type, s.Source, s.Installation, s.Dir, s.Secret
}
