package fake

import (
	"slices"

	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is a simulated cloud.
var Kind = catalog.New(catalog.Kind{
	Name:   "fake",
	Traits: catalog.Traits{Declares: true, Formerly: "model"},
	Tree:   treeRules(),
	Others: func(settings map[string]string, _ string) bool {
		// with anything else its commands run on this machine
		return settings["run"] == "" || settings["run"] == "reply"
	},
	LeadsTo: catalog.LeadsTo("nothing real (fake)"),
	Remote: []string{
		"boot", "create-time", "destroy-time", "clean-time", "fail-create", "fail-destroy", "fail-connect", "fail-clean",
		"capacity", "reply", "state", "cores", "memory", "disk", "gpus", "images", "flavors", "locations", "user-data",
		"seed",
	},
}, Open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
}

// treeRules says which keys somebody else's tree may set.
func treeRules() []catalog.Rule {
	return slices.Concat([]catalog.Rule{
		{Key: "image", Free: true, Why: "names nothing real"},
		{Key: "flavor", Free: true, Why: "names nothing real"},
		{
			Key: "run", Free: true, Values: "`reply`", Allows: catalog.AnyOf("", "reply"),
			Why: "runs nothing; `exec` and `home` run commands on this machine",
		},
	}, catalog.Free(
		"is pretended",
		"boot", "create-time", "destroy-time", "clean-time", "fail-create", "fail-destroy", "fail-connect",
		"fail-clean", "capacity", "reply", "cores", "memory", "disk", "gpus", "images", "flavors", "locations",
		"user-data", "seed", "state",
	), catalog.FewReady())
}
