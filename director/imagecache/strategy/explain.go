package strategy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute/metal"
)

// Explain returns what was decided for a node of the decision's fleet, and why. The node is named
// by its id or name. there is false if the fleet has no such node.
func (d *Decision) Explain(f *metal.Fleet, node string) (why string, there bool) {
	at := slices.IndexFunc(f.Nodes, func(n metal.Node) bool { return n.ID == node })
	if at < 0 {
		at = slices.IndexFunc(f.Nodes, func(n metal.Node) bool { return n.Name == node && node != "" })
	}
	if at < 0 {
		return "", false
	}
	n := &f.Nodes[at]
	var a *Account
	if i := slices.Index(f.Flavors, n.Flavor); i >= 0 {
		a = &d.Flavors[i]
	}
	return d.explain(f, n, a), true
}

// explain returns the decision for a node, and its reason, as a phrase for people.
func (d *Decision) explain(f *metal.Fleet, n *metal.Node, a *Account) string {
	image := func(id string) string {
		for _, m := range f.Images {
			if m.ID == id && m.Name != "" {
				return m.Name + " (" + id + ")"
			}
		}
		for _, m := range f.Retired {
			if m.ID == id && m.Name != "" {
				return m.Name + " (" + id + ")"
			}
		}
		if id == "" {
			return "an image that nobody knows"
		}
		return id
	}
	current := slices.IndexFunc(f.Images, func(m metal.Image) bool { return m.ID == n.Image })
	switch eject := slices.Index(d.Plan.Eject, n.ID); {
	case n.Provisioned && n.Wiping:
		return "it is being wiped, and is to be had afterwards"
	case n.Provisioned && n.Why != "":
		return "it is not to be had: " + n.Why
	case n.Provisioned:
		return "it is not to be had"
	case eject >= len(d.Plan.Eject)-d.Plan.Rebalance && eject >= 0:
		return fmt.Sprintf(
			"it is ejected: flavor %s has %d cached where %d are wanted, and %s is there beyond its share by weight",
			a.Flavor, a.Cached, a.Goal, image(n.Image),
		)
	case eject >= 0:
		return fmt.Sprintf("it is ejected: it has %s, which is not among the %d current images", image(n.Image), len(f.Images))
	case a == nil && n.Cached:
		return fmt.Sprintf("it keeps %s; its flavor %q is not among those that are kept ready", image(n.Image), n.Flavor)
	case a == nil:
		return fmt.Sprintf("it gets no image: its flavor %q is not among those that are kept ready", n.Flavor)
	case n.Cached && current < 0:
		return fmt.Sprintf(
			"it has %s, which is not current any more, and keeps it until another is ready in its place: %s",
			image(n.Image), a.words(),
		)
	case n.Cached && n.Writing:
		return fmt.Sprintf("%s is being written to it", image(n.Image))
	case n.Cached:
		return fmt.Sprintf("it has %s, which is current: %s", image(n.Image), a.words())
	}
	for k, w := range d.Plan.Cache[n.Flavor] {
		if w.Node == n.ID {
			i := slices.IndexFunc(f.Images, func(m metal.Image) bool { return m.ID == w.Image })
			return fmt.Sprintf(
				"%s is written to it, as number %d of %d of its flavor: %s; %s", image(w.Image), k+1, a.Need, a.words(),
				a.Images[i].words(),
			)
		}
	}
	if a.Cached+a.Need >= a.Goal {
		return "it stays free: enough are cached or chosen: " + a.words()
	}
	return "it stays free: no image is wanted on more nodes: " + a.words()
}

// words describes the counts of a flavor.
func (a *Account) words() string {
	var b strings.Builder
	fmt.Fprintf(
		&b,
		"flavor %s has %d nodes to be had, %d of them with a current image; %d are wanted with one, so %d more are written to",
		a.Flavor, a.Base, a.Cached, a.Goal, a.Need,
	)
	if a.Kept > 0 || a.Floor > 0 {
		fmt.Fprintf(&b, "; %d stale ones are kept, so that never fewer than %d are ready", a.Kept, a.Floor)
	}
	return b.String()
}

// words describes the counts of an image.
func (t *Tally) words() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the image has weight %d and is on %d nodes", t.Weight, t.Cached)
	if t.Fair > 0 {
		fmt.Fprintf(&b, " where %.3g would be fair", t.Fair)
	}
	if t.Least > 0 {
		fmt.Fprintf(&b, ", at least %d", t.Least)
	}
	if t.Most >= 0 {
		fmt.Fprintf(&b, ", at most %d", t.Most)
	}
	return b.String()
}
