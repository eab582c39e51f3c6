package kubernetes

import (
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is pods of a Kubernetes cluster.
var Kind = catalog.New(catalog.Kind{
	Name:   "kubernetes",
	Traits: catalog.Traits{Slow: true, Dear: true, Grows: true, Ahead: "warm", Costs: true},
	Tree:   catalog.Waits("makes pods, as you, in the cluster that your kubeconfig leads to", "*"),
	Others: catalog.Everybody, LeadsTo: catalog.LeadsTo("the cluster of your kubeconfig"),
	Remote: []string{
		"context", "namespace", "kind", "warm-pool", "image", "container", "cores", "memory", "disk", "gpu",
		"node-selector", "tolerations", "runtime-class", "priority-class", "pull", "env", "labels", "annotations",
		"user", "security", "network", "egress", "way", "agent-image", "grace", "schedule-wait",
	},
	Apart: []string{
		"kubeconfig", "context", "namespace", "kind", "warm-pool", "container", "security", "user", "network", "egress",
		"service-account", "runtime-class", "volumes",
	},
	Follows: []string{"kubeconfig"},
}, open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
	o.Requested, o.Others = s.Requested, s.Others
}
