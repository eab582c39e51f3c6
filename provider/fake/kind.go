package fake

import (
	"slices"

	"github.com/hostler-project/hostler/provider"
)

// Kind is a simulated cloud.
var Kind = provider.New(provider.Kind{
	Name:   "fake",
	Traits: provider.Traits{Declares: true, Formerly: "model"},
	Tree:   treeRules(),
	Others: func(settings map[string]string, _ string) bool {
		// with anything else its commands run on this machine
		return settings["run"] == "" || settings["run"] == "reply"
	},
	LeadsTo: provider.LeadsTo("nothing real (fake)"),
	Remote: []string{
		"boot", "create-time", "destroy-time", "clean-time", "fail-create", "fail-destroy", "fail-connect", "fail-clean",
		"capacity", "reply", "state", "cores", "memory", "disk", "gpus", "images", "flavors", "locations", "user-data",
		"seed",
	},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
}

// treeRules says which keys somebody else's tree may set.
func treeRules() []provider.Rule {
	return slices.Concat([]provider.Rule{
		{Key: "image", Free: true, Why: "names nothing real"},
		{Key: "flavor", Free: true, Why: "names nothing real"},
		{
			Key: "run", Free: true, Values: "`reply`", Allows: provider.AnyOf("", "reply"),
			Why: "runs nothing; `exec` and `home` run commands on this machine",
		},
	}, provider.Free(
		"is pretended",
		"boot", "create-time", "destroy-time", "clean-time", "fail-create", "fail-destroy", "fail-connect",
		"fail-clean", "capacity", "reply", "cores", "memory", "disk", "gpus", "images", "flavors", "locations",
		"user-data", "seed", "state",
	), provider.FewReady())
}
