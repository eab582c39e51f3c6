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
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// inventory is all that the cloud has of a deployment, by kind, at one moment.
type inventory struct {
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

	// the server that this runs on, if it is the deployment's, and its parts: they stay
	Own     []Thing
	Strange []Thing // others' ports on our networks, which prevent their deletion

	routerOf  map[string]string // the ids of routers, by the ports of their interfaces
	networkOf map[string]string // the ids of networks, by subnet
	ownPorts  []string          // the ids of the ports of the server that this runs on
	ownGroups []string          // the ids of their security groups
}

// All lists everything that is to be deleted, in the order of deletion.
func (i *inventory) All() []Thing {
	return slices.Concat(i.Servers, i.Ports, i.Volumes, i.FloatingIPs, i.Interfaces, i.Routers, i.Subnets, i.Networks, i.Groups, i.KeyPairs)
}

// ours reports whether a thing is to be deleted with the deployment.
func (w *work) ours(kind, id, description string, tags []string) bool {
	yes, others := w.mark.on(description, tags)
	if yes || others {
		return yes
	}
	return slices.ContainsFunc(w.rec.Things, func(t Thing) bool { return t.Kind == kind && t.ID == id && t.Made })
}

// isSelf reports whether a server is the one that this runs on, or that it was deployed from.
func (w *work) isSelf(server string) bool {
	return server != "" && (server == w.rec.InCloud || server == w.here)
}

// inventory asks the cloud for everything of the deployment. Networks come first and ports
// second, because the later lists depend on them.
func (w *work) inventory(ctx context.Context) (*inventory, error) {
	inv := &inventory{routerOf: map[string]string{}, networkOf: map[string]string{}}
	if err := w.listNetworks(ctx, inv); err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context, *inventory) error{w.listPorts, w.listServers, w.listVolumes, w.listRest} {
		if err := part(ctx, inv); err != nil {
			return nil, err
		}
	}
	return inv, nil
}

// labelled is what the network service tells of a thing.
type labelled struct {
	id, name, description string
	tags                  []string
	own                   bool // of the server that this runs on
}

// listOurs lists a kind of thing at the network service, and keeps those that are to be deleted
// with the deployment.
func listOurs[T any](
	ctx context.Context, w *work, inv *inventory, kind string, pager pagination.Pager,
	extract func(pagination.Page) ([]T, error), of func(T) labelled,
) (out []Thing, err error) {
	all, err := list(ctx, pager, extract)
	if err != nil {
		return nil, failed("list "+kind+"s of", w.opt.Name, err)
	}
	for _, t := range all {
		l := of(t)
		switch thing := (Thing{kind, l.name, l.id, true}); {
		case !w.ours(kind, l.id, l.description, l.tags):
		case l.own:
			inv.Own = append(inv.Own, thing)
		default:
			out = append(out, thing)
		}
	}
	return out, nil
}

// listNetworks adds networks, subnets and routers, which listPorts needs.
func (w *work) listNetworks(ctx context.Context, inv *inventory) (err error) {
	c, project := w.cloud.Network, w.cloud.Project
	inv.Networks, err = listOurs(ctx, w, inv, Network, networks.List(
		c, networks.ListOpts{ProjectID: project},
	), networks.ExtractNetworks, func(n networks.Network) labelled {
		return labelled{n.ID, n.Name, n.Description, n.Tags, false}
	})
	if err != nil {
		return err
	}
	inv.Subnets, err = listOurs(ctx, w, inv, Subnet, subnets.List(
		c, subnets.ListOpts{ProjectID: project},
	), subnets.ExtractSubnets, func(s subnets.Subnet) labelled {
		inv.networkOf[s.ID] = s.NetworkID
		return labelled{s.ID, s.Name, s.Description, s.Tags, false}
	})
	if err != nil {
		return err
	}
	inv.Routers, err = listOurs(ctx, w, inv, Router, routers.List(
		c, routers.ListOpts{ProjectID: project},
	), routers.ExtractRouters, func(r routers.Router) labelled {
		return labelled{r.ID, r.Name, r.Description, r.Tags, false}
	})
	return err
}

// has reports whether a list has the thing with an id.
func has(list []Thing, id string) bool {
	return slices.ContainsFunc(list, func(t Thing) bool { return t.ID == id })
}

// keepNetworks keeps the networks of the server that this runs on. It returns the ids of the
// routers by which that server is reached, which stay too.
func (w *work) keepNetworks(inv *inventory, all []ports.Port) (routers []string) {
	var networks []string
	for _, p := range all {
		if w.isSelf(p.DeviceID) {
			networks = append(networks, p.NetworkID)
		}
	}
	keep := func(things []Thing, own func(Thing) bool) []Thing {
		return slices.DeleteFunc(things, func(t Thing) bool {
			if own(t) {
				inv.Own = append(inv.Own, t)
			}
			return own(t)
		})
	}
	for _, p := range all {
		if strings.HasPrefix(p.DeviceOwner, "network:router_interface") && slices.Contains(networks, p.NetworkID) {
			routers = append(routers, p.DeviceID)
		}
	}
	inv.Networks = keep(inv.Networks, func(t Thing) bool { return slices.Contains(networks, t.ID) })
	inv.Subnets = keep(inv.Subnets, func(t Thing) bool { return slices.Contains(networks, inv.networkOf[t.ID]) })
	inv.Routers = keep(inv.Routers, func(t Thing) bool { return slices.Contains(routers, t.ID) })
	return routers
}

// listPorts adds ports and router interfaces. It separates those of the server that this runs on,
// and others' ports that are in the way.
func (w *work) listPorts(ctx context.Context, inv *inventory) error {
	all, err := list(ctx, ports.List(w.cloud.Network, ports.ListOpts{ProjectID: w.cloud.Project}), ports.ExtractPorts)
	if err != nil {
		return failed("list ports of", w.opt.Name, err)
	}
	reached := w.keepNetworks(inv, all)
	for _, p := range all {
		here := has(inv.Networks, p.NetworkID)
		said := described(p.Description)
		name := p.Name
		switch {
		case w.isSelf(p.DeviceID):
			inv.ownPorts, inv.ownGroups = append(inv.ownPorts, p.ID), append(inv.ownGroups, p.SecurityGroups...)
			if w.ours(Port, p.ID, p.Description, p.Tags) {
				inv.Own = append(inv.Own, Thing{Port, name, p.ID, true})
			}
		case p.DeviceOwner == "network:router_gateway":
		case strings.HasPrefix(p.DeviceOwner, "network:router_interface"):
			thing := Thing{Interface, "of " + w.opt.Name, p.ID, true}
			if slices.Contains(reached, p.DeviceID) {
				if has(inv.Own, p.DeviceID) || w.ours(Interface, p.ID, "", nil) {
					inv.Own = append(inv.Own, thing)
				}
			} else if has(inv.Routers, p.DeviceID) || here || w.ours(Interface, p.ID, "", nil) {
				inv.Interfaces = append(inv.Interfaces, thing)
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

// listServers adds the deployment's servers, and removes their ports from Strange. The server
// that this runs on goes to Own.
func (w *work) listServers(ctx context.Context, inv *inventory) error {
	all, err := list(ctx, servers.List(w.cloud.Compute, servers.ListOpts{}), servers.ExtractServers)
	if err != nil {
		return failed("list servers of", w.opt.Name, err)
	}
	for _, s := range all {
		of := onMetadata(s.Metadata)
		// A server of this installation on a network of the deployment goes too, whatever its
		// source. The network cannot be deleted before it.
		neighbour := of.installation == w.mark.installation && of.deployment == "" &&
			slices.ContainsFunc(inv.Strange, func(t Thing) bool { return strings.HasSuffix(t.Name, " of "+s.ID) || t.Name == "of "+s.ID })
		if w.isSelf(s.ID) {
			if of == w.mark {
				inv.Own = append(inv.Own, Thing{Server, s.Name, s.ID, true})
			}
			continue
		}
		if of == w.mark || neighbour {
			inv.Servers = append(inv.Servers, Thing{Server, s.Name, s.ID, true})
			// goes with the server
			inv.Strange = slices.DeleteFunc(inv.Strange, func(t Thing) bool { return strings.HasSuffix(t.Name, "of "+s.ID) })
		}
	}
	return nil
}

// listVolumes adds the deployment's volumes, if the cloud has a volume service. A volume of the
// server that this runs on goes to Own.
func (w *work) listVolumes(ctx context.Context, inv *inventory) error {
	if w.cloud.Volume == nil {
		return nil
	}
	all, err := list(ctx, volumes.List(w.cloud.Volume, volumes.ListOpts{}), volumes.ExtractVolumes)
	if err != nil {
		return failed("list volumes of", w.opt.Name, err)
	}
	for _, v := range all {
		switch thing := (Thing{Volume, v.Name, v.ID, true}); {
		case onMetadata(v.Metadata) != w.mark && described(v.Description) != w.mark:
		case slices.ContainsFunc(v.Attachments, func(a volumes.Attachment) bool { return w.isSelf(a.ServerID) }):
			inv.Own = append(inv.Own, thing)
		default:
			inv.Volumes = append(inv.Volumes, thing)
		}
	}
	return nil
}

// listRest adds floating IPs, security groups and the key pair.
func (w *work) listRest(ctx context.Context, inv *inventory) (err error) {
	c, project := w.cloud.Network, w.cloud.Project
	inv.FloatingIPs, err = listOurs(ctx, w, inv, FloatingIP, floatingips.List(
		c, floatingips.ListOpts{ProjectID: project},
	), floatingips.ExtractFloatingIPs, func(ip floatingips.FloatingIP) labelled {
		return labelled{ip.ID, ip.FloatingIP, ip.Description, ip.Tags, slices.Contains(inv.ownPorts, ip.PortID)}
	})
	if err != nil {
		return err
	}
	inv.Groups, err = listOurs(ctx, w, inv, Group, groups.List(c, groups.ListOpts{ProjectID: project}), groups.ExtractGroups, func(g groups.SecGroup) labelled {
		return labelled{g.ID, g.Name, g.Description, g.Tags, slices.Contains(inv.ownGroups, g.ID)}
	})
	if err != nil {
		return err
	}
	key, err := keypairs.Get(ctx, w.cloud.Compute, w.opt.Name, nil).Extract()
	if isGone(err) {
		return nil
	}
	if err != nil {
		return failed("look for "+KeyPair, w.opt.Name, err)
	}
	here, _ := readKey(KeyFile(w.opt.Keys, w.opt.Name)) // an unreadable key counts as none
	if w.ourKey(key.PublicKey, here) {
		inv.KeyPairs = append(inv.KeyPairs, Thing{KeyPair, key.Name, key.Name, true})
	}
	return nil
}
