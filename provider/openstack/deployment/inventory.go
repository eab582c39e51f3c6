package deployment

import (
	"context"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
)

// Inventory is all of a deployment that the cloud has, by kind, as it was at one look.
type Inventory struct {
	Servers     []Thing
	Ports       []Thing
	Volumes     []Thing
	FloatingIPs []Thing
	Interfaces  []Thing // by the ids of their ports
	Routers     []Thing
	Subnets     []Thing
	Networks    []Thing
	Groups      []Thing
	KeyPairs    []Thing

	Strange []Thing // ports of others on networks of ours: they keep the network from being deleted

	routerOf map[string]string // by the port of an interface
}

// All lists everything that is to be deleted, in the order in which that is done.
func (i *Inventory) All() []Thing {
	return slices.Concat(i.Servers, i.Ports, i.Volumes, i.FloatingIPs, i.Interfaces, i.Routers, i.Subnets, i.Networks, i.Groups, i.KeyPairs)
}

// Look lists what the cloud has of a deployment: what carries its marks, what is recorded as made for it, and what this installation made on its networks.
func Look(ctx context.Context, cloud Cloud, opt Options) (*Inventory, error) {
	w, err := begin(cloud, opt)
	if err != nil {
		return nil, err
	}
	if w.rec, err = w.known(ctx); err != nil {
		return nil, err
	}
	if w.rec == nil {
		w.rec = &Record{}
	}
	return w.inventory(ctx)
}

// ours reports whether a thing is to be deleted with the deployment.
func (w *work) ours(kind, id, description string, tags []string) bool {
	yes, others := w.mark.on(description, tags)
	if yes || others {
		return yes
	}
	return slices.ContainsFunc(w.rec.Things, func(t Thing) bool { return t.Kind == kind && t.ID == id && t.Made })
}

func (w *work) inventory(ctx context.Context) (*Inventory, error) {
	inv := &Inventory{routerOf: map[string]string{}}
	if err := w.listNetworks(ctx, inv); err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context, *Inventory) error{w.listPorts, w.listServers, w.listVolumes, w.listRest} {
		if err := part(ctx, inv); err != nil {
			return nil, err
		}
	}
	return inv, nil
}

func (w *work) listNetworks(ctx context.Context, inv *Inventory) error {
	nets, err := list(ctx, networks.List(w.cloud.Network, networks.ListOpts{ProjectID: w.cloud.Project}), networks.ExtractNetworks)
	if err != nil {
		return failed("list networks of", w.opt.Name, err)
	}
	for _, n := range nets {
		if w.ours(Network, n.ID, n.Description, n.Tags) {
			inv.Networks = append(inv.Networks, Thing{Network, n.Name, n.ID, true})
		}
	}
	subs, err := list(ctx, subnets.List(w.cloud.Network, subnets.ListOpts{ProjectID: w.cloud.Project}), subnets.ExtractSubnets)
	if err != nil {
		return failed("list subnets of", w.opt.Name, err)
	}
	for _, s := range subs {
		if w.ours(Subnet, s.ID, s.Description, s.Tags) {
			inv.Subnets = append(inv.Subnets, Thing{Subnet, s.Name, s.ID, true})
		}
	}
	all, err := list(ctx, routers.List(w.cloud.Network, routers.ListOpts{ProjectID: w.cloud.Project}), routers.ExtractRouters)
	if err != nil {
		return failed("list routers of", w.opt.Name, err)
	}
	for _, r := range all {
		if w.ours(Router, r.ID, r.Description, r.Tags) {
			inv.Routers = append(inv.Routers, Thing{Router, r.Name, r.ID, true})
		}
	}
	return nil
}

// has reports whether a list has a thing.
func has(list []Thing, id string) bool {
	return slices.ContainsFunc(list, func(t Thing) bool { return t.ID == id })
}

func (w *work) listPorts(ctx context.Context, inv *Inventory) error {
	all, err := list(ctx, ports.List(w.cloud.Network, ports.ListOpts{ProjectID: w.cloud.Project}), ports.ExtractPorts)
	if err != nil {
		return failed("list ports of", w.opt.Name, err)
	}
	for _, p := range all {
		here := has(inv.Networks, p.NetworkID)
		said := described(p.Description)
		name := p.Name
		switch {
		case p.DeviceOwner == "network:router_gateway":
		case strings.HasPrefix(p.DeviceOwner, "network:router_interface"):
			if has(inv.Routers, p.DeviceID) || here || w.ours(Interface, p.ID, "", nil) {
				inv.Interfaces = append(inv.Interfaces, Thing{Interface, "of " + w.opt.Name, p.ID, true})
				inv.routerOf[p.ID] = p.DeviceID
			}
		case strings.HasPrefix(p.DeviceOwner, "network:"): // DHCP's, which goes with the network
		case w.ours(Port, p.ID, p.Description, p.Tags), here && said.installation == w.mark.installation:
			inv.Ports = append(inv.Ports, Thing{Port, name, p.ID, true})
		case here:
			inv.Strange = append(inv.Strange, Thing{Port, strings.TrimSpace(name + " of " + p.DeviceID), p.ID, false})
		}
	}
	return nil
}

func (w *work) listServers(ctx context.Context, inv *Inventory) error {
	all, err := list(ctx, servers.List(w.cloud.Compute, servers.ListOpts{}), servers.ExtractServers)
	if err != nil {
		return failed("list servers of", w.opt.Name, err)
	}
	for _, s := range all {
		of := onMetadata(s.Metadata)
		// A server of this installation that stands on a network of the deployment's, made by a source that does not name it, goes too: the network cannot without it.
		neighbour := of.installation == w.mark.installation && of.deployment == "" && slices.ContainsFunc(inv.Strange, func(t Thing) bool { return strings.HasSuffix(t.Name, " of "+s.ID) || t.Name == "of "+s.ID })
		if of == w.mark || neighbour {
			inv.Servers = append(inv.Servers, Thing{Server, s.Name, s.ID, true})
			inv.Strange = slices.DeleteFunc(inv.Strange, func(t Thing) bool { return strings.HasSuffix(t.Name, "of "+s.ID) }) // which goes with it
		}
	}
	return nil
}

func (w *work) listVolumes(ctx context.Context, inv *Inventory) error {
	if w.cloud.Volume == nil {
		return nil
	}
	all, err := list(ctx, volumes.List(w.cloud.Volume, volumes.ListOpts{}), volumes.ExtractVolumes)
	if err != nil {
		return failed("list volumes of", w.opt.Name, err)
	}
	for _, v := range all {
		if onMetadata(v.Metadata) == w.mark || described(v.Description) == w.mark {
			inv.Volumes = append(inv.Volumes, Thing{Volume, v.Name, v.ID, true})
		}
	}
	return nil
}

func (w *work) listRest(ctx context.Context, inv *Inventory) error {
	ips, err := list(ctx, floatingips.List(w.cloud.Network, floatingips.ListOpts{ProjectID: w.cloud.Project}), floatingips.ExtractFloatingIPs)
	if err != nil {
		return failed("list floating IPs of", w.opt.Name, err)
	}
	for _, ip := range ips {
		if w.ours(FloatingIP, ip.ID, ip.Description, ip.Tags) {
			inv.FloatingIPs = append(inv.FloatingIPs, Thing{FloatingIP, ip.FloatingIP, ip.ID, true})
		}
	}
	secgroups, err := list(ctx, groups.List(w.cloud.Network, groups.ListOpts{ProjectID: w.cloud.Project}), groups.ExtractGroups)
	if err != nil {
		return failed("list security groups of", w.opt.Name, err)
	}
	for _, g := range secgroups {
		if w.ours(Group, g.ID, g.Description, g.Tags) {
			inv.Groups = append(inv.Groups, Thing{Group, g.Name, g.ID, true})
		}
	}
	key, err := keypairs.Get(ctx, w.cloud.Compute, w.opt.Name, nil).Extract()
	if isGone(err) {
		return nil
	}
	if err != nil {
		return failed("look for "+KeyPair, w.opt.Name, err)
	}
	here, _ := readKey(KeyFile(w.opt.Keys, w.opt.Name)) // one that cannot be read is none
	if w.ourKey(key.PublicKey, here) {
		inv.KeyPairs = append(inv.KeyPairs, Thing{KeyPair, key.Name, key.Name, true})
	}
	return nil
}
