package ironic_test

import (
	"errors"
	"net/http"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/provider/ironic"
)

// bare has a node of which nothing is known, and which Ironic has locked for some seconds when an
// image is to be written to it, which is refused, and again when it is to be wiped, which waits.
func (u *user) bare(o *ownIronic, image metal.Image) {
	u.Helper()
	var n bareNode
	u.insist(
		http.MethodPost, "nodes",
		map[string]any{"driver": "oslab-hardware", "driver_info": map[string]any{"lab_power_seconds": 4}}, &n,
	)
	const name = "" // it has none
	u.ids[name] = n.UUID
	defer delete(u.ids, name)
	session := o.session(u)
	sc, err := ironic.NewScout(ironic.ScoutOptions{Session: session, Installation: "other"})
	do(u, err)
	c, err := ironic.NewCommander(ironic.CommanderOptions{Session: session, Installation: "other", Poll: 500 * time.Millisecond})
	do(u, err)
	defer c.Close()
	see := func(what string, ok func(metal.Node) bool) {
		u.Helper()
		u.until("a bare node is "+what, func() (bool, any) {
			var last metal.Node
			for _, one := range nodes(u, sc) {
				if one.ID == n.UUID {
					last = one
				}
			}
			return ok(last), last
		})
	}
	see("seen as it is", func(n metal.Node) bool { return n.Provisioned && n.Why == "enroll" && n.Flavor == "" && n.Name == "" })
	u.provision(name, "manage", "manageable")
	u.provision(name, "provide", "available")
	see("free", func(n metal.Node) bool { return n.Free() })
	lock := func() {
		u.insist(http.MethodPut, "nodes/"+n.UUID+"/states/power", map[string]any{"target": "power on"}, nil)
	}
	lock()
	// it is not free while it is locked
	if err := c.Cache(u.Context(), n.UUID, image); errors.Is(err, compute.ErrConflict) {
		see("free after it was locked", func(n metal.Node) bool { return n.Free() })
		do(u, c.Cache(u.Context(), n.UUID, image))
	} else {
		do(u, err)
	}
	see("cached", func(n metal.Node) bool { return n.Cached && !n.Writing && !n.Provisioned && n.Image == image.ID })
	lock()
	do(u, c.Eject(u.Context(), n.UUID))
	see("free again", func(n metal.Node) bool { return n.Free() && n.Writes == 1 })
	u.insist(http.MethodDelete, "nodes/"+n.UUID, nil, nil)
	u.Log("a node of nulls was waited for while it was locked")
}
