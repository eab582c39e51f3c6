package sandbox

import (
	"context"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is the kind of source whose instances are sandboxes of this machine.
var Kind = catalog.New(catalog.Kind{
	Name:    "sandbox",
	Traits:  catalog.Traits{Slow: true, Here: true, Binds: true, BuiltIn: true, Linux: true, HostRoot: true},
	Tree:    treeRules(),
	LeadsTo: catalog.LeadsTo("a sandbox of this machine"),
	Remote: []string{
		"image", "upper", "cores", "memory", "disk", "pids", "network", "hide", "user", "entrypoint",
	},
	Show: func(_ map[string]string, d catalog.Directory) map[string]string {
		out := map[string]string{"tree": d.Path + ":" + d.Mode()}
		if len(d.Writable) > 0 {
			out["writable"] = strings.Join(d.Writable, ",")
		}
		return out
	},
	Pack: func(settings map[string]string) {
		settings["upper"] = "disk" // readable after its processes have ended
		delete(settings, "disk")
	},
	Others:     func(_ map[string]string, image string) bool { return image != "" && !policy.Root(image) },
	LocalImage: func(image string) bool { return image != "host" && policy.Local(image) },
	Examine: func(ctx context.Context, s catalog.Site) []compute.Finding {
		o := Options{}
		s.Installation, s.Dir = "doctor", "/tmp"
		takeSite(&o, s)
		return examine(ctx, o)
	},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
	o.Home, o.Images, o.ImageLimits, o.Others, o.Registry = s.Home, s.Images, s.ImageLimits, s.Others, s.Registry
	o.State, o.NetworkDir, o.Runtime, o.Answers = s.State, s.Network, s.Masks, s.Answers
}
