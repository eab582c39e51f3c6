package kubernetes

import "github.com/hostler-project/hostler/provider"

// Kind is pods of a Kubernetes cluster.
var Kind = provider.New(provider.Kind{
	Name:   "kubernetes",
	Traits: provider.Traits{Slow: true, Dear: true, Grows: true, Ahead: "warm", Costs: true},
	Tree:   provider.Waits("makes pods, as you, in the cluster that your kubeconfig leads to", "*"),
	Others: provider.Everybody, LeadsTo: provider.LeadsTo("the cluster of your kubeconfig"),
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
func takeSite(o *Options, s provider.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
	o.Requested, o.Others = s.Requested, s.Others
}
