package deploycmd

import (
	"strings"

	"github.com/hostler-project/hostler/deploy"
)

// goOn returns the command that continues the set-up of a failed node, or "". Values may be secret
// and are left out.
func (d *deploying) goOn(n *deploy.Node) string {
	v := d.by[n.Name]
	if v.plan == nil || d.opt.old || len(v.plan.Bundles()) == 0 {
		return ""
	}
	words := "; to go on where it failed: hostler bundle apply"
	for _, b := range v.plan.Bundles() {
		words += " " + b.Name
	}
	words += " --on " + n.Name
	if d.as() == "self" {
		words += " --as self"
	}
	for _, name := range v.plan.Wants() {
		words += " -t " + name + "=..."
	}
	return words
}

// became describes what exists after an interrupt.
func became(nodes []*deploy.Node) string {
	by := map[deploy.State][]string{}
	for _, n := range nodes {
		by[n.State] = append(by[n.State], n.Name)
	}
	var parts []string
	for _, s := range []struct {
		state deploy.State
		text  string
	}{{deploy.Done, "ready"}, {deploy.Failed, "kept, and not all is on it"}, {deploy.Destroyed, "destroyed"}} {
		if names := by[s.state]; len(names) > 0 {
			parts = append(parts, strings.Join(names, ", ")+": "+s.text)
		}
	}
	if len(parts) == 0 {
		return "nothing is made"
	}
	return strings.Join(parts, "; ")
}
