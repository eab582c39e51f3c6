package container

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
)

// wall keeps `egress`, as far as it can be kept here: none is no network. An engine makes its own
// networks, which nothing of ours judges, so a promise of anything else is refused.
func (o *Options) wall() error {
	may, err := egress.Parse(o.Egress)
	switch {
	case err != nil:
		return compute.WrongKey("egress", compute.Hint(err), "%w", err)
	case len(o.Egress) == 0:
		return nil
	case !may.None():
		return compute.WrongKey("egress", "use egress = none, or a source of type sandbox",
			"egress = %s cannot be kept: containers reach what their engine's network does", may)
	case o.Network != "" && o.Network != "none":
		return compute.WrongKey("egress", "leave one of them out", "egress = none, and network = %s", o.Network)
	case len(o.Ports) > 0:
		return compute.WrongKey("egress", "leave one of them out",
			"egress = none, and ports: a container without a network has none")
	}
	o.Network = "none"
	return nil
}
