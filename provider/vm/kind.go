package vm

import (
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Kind is virtual machines on this machine.
var Kind = provider.New(provider.Kind{
	Name: "vm",
	Traits: provider.Traits{
		Slow: true, Here: true, Binds: true, Grows: true, Declares: true, ShowsNone: "a virtual machine has disks of its own",
	},
	Tree:       provider.Waits("has this machine run qemu, with files and a network of this machine", "*"),
	Others:     provider.Everybody,
	LeadsTo:    provider.LeadsTo("a virtual machine on this machine"),
	Pack:       func(settings map[string]string) { delete(settings, "warm") },
	LocalImage: func(string) bool { return true },
	Examine: func(ctx context.Context, s provider.Site) []compute.Finding {
		return examine(ctx, options{Agent: s.Agent})
	},
}, open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
	o.Home, o.Images, o.ImageLimits, o.Others, o.Registry = s.Home, s.Images, s.ImageLimits, s.Others, s.Registry
}
