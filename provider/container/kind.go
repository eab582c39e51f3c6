package container

import (
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is the kind of source whose instances are containers of this machine's engine.
var Kind = catalog.New(catalog.Kind{
	Name:    "container",
	Traits:  catalog.Traits{Slow: true, Dear: true, Here: true, Binds: true},
	Tree:    catalog.Waits("has this machine's container engine act for you, with your logins", "*"),
	Others:  catalog.Everybody,
	LeadsTo: catalog.LeadsTo("a container of this machine"),
	Remote: []string{
		"image", "pull", "cores", "memory", "disk", "pids", "user", "entrypoint", "read-only",
	},
	Show: func(settings map[string]string, d catalog.Directory) map[string]string {
		mounts := d.Path + ":" + d.Path + ":" + d.Mode()
		if more := settings["mounts"]; more != "" {
			mounts = more + ", " + mounts
		}
		return map[string]string{"mounts": mounts}
	},
	// the variables would become part of the image
	Pack:    func(settings map[string]string) { delete(settings, "env") },
	Examine: func(ctx context.Context, s catalog.Site) []compute.Finding { return Examine(ctx, s.Agent) },
}, open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
	o.Others, o.Registry = s.Others, s.Registry
}
