package vm

import (
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is virtual machines on this machine.
var Kind = catalog.New(catalog.Kind{
	Name: "vm",
	Traits: catalog.Traits{
		Slow: true, Here: true, Binds: true, Grows: true, Declares: true, ShowsNone: "a virtual machine has disks of its own",
	},
	Tree:       catalog.Waits("has this machine run qemu, with files and a network of this machine", "*"),
	Others:     catalog.Everybody,
	LeadsTo:    catalog.LeadsTo("a virtual machine on this machine"),
	Pack:       func(settings map[string]string) { delete(settings, "warm") },
	LocalImage: func(string) bool { return true },
	Examine: func(ctx context.Context, s catalog.Site) []compute.Finding {
		return examine(ctx, options{Agent: s.Agent})
	},
}, open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
	o.Home, o.Images, o.ImageLimits, o.Others, o.Registry = s.Home, s.Images, s.ImageLimits, s.Others, s.Registry
}
