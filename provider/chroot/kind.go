package chroot

import "github.com/hostler-project/hostler/provider"

// Kind is the kind of source whose instances are directories of this machine as a root.
var Kind = provider.New(provider.Kind{
	Name:       "chroot",
	Traits:     provider.Traits{Slow: true, Here: true, Linux: true},
	Tree:       provider.Waits("runs programs of a directory on this machine as root", "*"),
	LeadsTo:    provider.LeadsTo("a directory of this machine, as root"),
	LocalImage: func(string) bool { return true },
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Home, o.Images, o.ImageLimits, o.Others = s.Home, s.Images, s.ImageLimits, s.Others
}
