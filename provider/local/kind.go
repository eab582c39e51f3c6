package local

import (
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is this machine itself.
var Kind = catalog.New(catalog.Kind{
	Name:    "local",
	Traits:  catalog.Traits{Itself: true, BuiltIn: true, NoRebuild: "as-is"},
	Tree:    catalog.Waits("runs commands on this machine", "*"),
	Others:  catalog.OwnUser,
	LeadsTo: catalog.LeadsTo("this machine itself"),
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
}
