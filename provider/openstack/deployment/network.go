package deployment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/external"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// topology makes the network of a deployment, its subnets and the router.
type topology struct{ w *work }

// network makes the network, its subnets, and the router.
func (t *topology) network(ctx context.Context) error {
	name := t.w.opt.Name
	id, made, err := t.w.ensure(ctx, part{
		kind: Network, name: name, plural: "networks",
		find: func(ctx context.Context) (out []candidate, err error) {
			all, err := list(
				ctx, networks.List(t.w.cloud.Network, networks.ListOpts{Name: name, ProjectID: t.w.cloud.Project}),
				networks.ExtractNetworks,
			)
			for _, n := range all {
				out = append(out, candidate{n.ID, n.CreatedAt, n.Description, n.Tags})
			}
			return out, err
		},
		make: func(ctx context.Context) (string, error) {
			n, err := networks.Create(ctx, t.w.cloud.Network, networks.CreateOpts{Name: name, Description: t.w.mark.text()}).Extract()
			if err != nil {
				return "", err
			}
			return n.ID, nil
		},
		drop: func(ctx context.Context, id string) error {
			return networks.Delete(ctx, t.w.cloud.Network, id).ExtractErr()
		},
	})
	if err != nil {
		return err
	}
	t.w.rec.use(Network, id)
	subnet, subnet6, err := t.subnets(ctx, id, made)
	if err != nil {
		return err
	}
	if t.w.rec.use(Subnet, subnet); subnet != "" {
		if err := t.w.save(ctx); err != nil {
			return err
		}
	}
	return t.router(ctx, id, subnet, subnet6)
}

// subnets returns the ids of a network's subnets, for IPv4 and IPv6, and makes those that are
// missing. Of somebody else's network it uses the only one that is there.
func (t *topology) subnets(ctx context.Context, network string, made bool) (four, six string, err error) {
	s := t.w.rec.Settings
	all := []subnets.Subnet{}
	if network != "" {
		if all, err = list(
			ctx, subnets.List(t.w.cloud.Network, subnets.ListOpts{NetworkID: network, ProjectID: t.w.cloud.Project}),
			subnets.ExtractSubnets,
		); err != nil {
			return "", "", failed("look for subnets of", t.w.opt.Name, err)
		}
	}
	if !made && len(all) == 1 {
		if all[0].CIDR != s.CIDR && s.CIDR != DefaultCIDR {
			return "", "", otherwise(t.w.opt.Name, "the subnet %s has the range %s, and %s is wanted", all[0].ID, all[0].CIDR, s.CIDR)
		}
		t.w.rec.Settings.CIDR, t.w.rec.Settings.Gateway = all[0].CIDR, all[0].GatewayIP
		t.w.rec.note(Thing{Kind: Subnet, Name: all[0].Name, ID: all[0].ID})
		t.w.tell(Found, Subnet, all[0].Name, all[0].ID, "not made by hostler: used as it is, and not deleted")
		return all[0].ID, "", t.w.save(ctx)
	}
	if four, err = t.subnet(ctx, network, t.w.opt.Name, s.CIDR, s.Gateway, 4, all); err == nil && s.CIDR6 != "" {
		gateway := netip.MustParsePrefix(s.CIDR6).Addr().Next().String()
		six, err = t.subnet(ctx, network, t.w.opt.Name+"-6", s.CIDR6, gateway, 6, all)
	}
	return four, six, err
}

// otherwise returns the error for a thing that differs from the settings and cannot be changed.
func otherwise(name, format string, args ...any) error {
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrConflict, Err: fmt.Errorf(format, args...),
		Hint: "ask for what there is, take another name, or tear it down first",
	}
}

// subnet makes one subnet, or checks the existing one. It corrects the name servers and DHCP of
// ours. A wrong range or gateway is an error.
func (t *topology) subnet(ctx context.Context, network, name, cidr, gateway string, version int, all []subnets.Subnet) (string, error) {
	s := t.w.rec.Settings
	var dns []string // name servers of the subnet's own kind of addresses
	for _, text := range s.DNS {
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() == (version == 4) {
			dns = append(dns, text)
		}
	}
	find := func(ctx context.Context) (out []candidate, err error) {
		if network == "" {
			return nil, nil
		}
		if all, err = list(
			ctx, subnets.List(t.w.cloud.Network, subnets.ListOpts{NetworkID: network, ProjectID: t.w.cloud.Project}),
			subnets.ExtractSubnets,
		); err != nil {
			return nil, err
		}
		for _, sub := range all {
			if sub.Name == name && sub.IPVersion == version {
				out = append(out, candidate{id: sub.ID, text: sub.Description, tags: sub.Tags})
			}
		}
		return out, nil
	}
	id, made, err := t.w.ensure(ctx, part{
		kind: Subnet, name: name, plural: "subnets", find: find,
		make: func(ctx context.Context) (string, error) {
			dhcp := !s.NoDHCP
			opts := subnets.CreateOpts{
				NetworkID: network, Name: name, Description: t.w.mark.text(), CIDR: cidr, GatewayIP: &gateway,
				IPVersion: 4, EnableDHCP: &dhcp, DNSNameservers: dns,
			}
			if opts.IPVersion = 4; version == 6 {
				if opts.IPVersion = 6; dhcp {
					opts.IPv6AddressMode, opts.IPv6RAMode = "slaac", "slaac"
				}
			}
			sub, err := subnets.Create(ctx, t.w.cloud.Network, opts).Extract()
			if err != nil {
				return "", err
			}
			return sub.ID, nil
		},
		drop: func(ctx context.Context, id string) error {
			return subnets.Delete(ctx, t.w.cloud.Network, id).ExtractErr()
		},
	})
	if err != nil || id == "" {
		return id, err
	}
	i := slices.IndexFunc(all, func(sub subnets.Subnet) bool { return sub.ID == id })
	if i < 0 {
		return id, nil
	}
	switch got := all[i]; {
	case got.CIDR != cidr:
		return "", otherwise(name, "the subnet %s has the range %s, and %s is wanted", id, got.CIDR, cidr)
	case got.GatewayIP != gateway:
		return "", otherwise(name, "the subnet %s has the gateway %s, and %s is wanted", id, got.GatewayIP, gateway)
	case made && (!slices.Equal(got.DNSNameservers, dns) || got.EnableDHCP == s.NoDHCP):
		if t.w.opt.DryRun {
			t.w.tell(WouldFix, Subnet, name, id, "name servers or DHCP")
			return id, nil
		}
		dhcp := !s.NoDHCP
		if dns == nil {
			dns = []string{}
		}
		if _, err := subnets.Update(
			ctx, t.w.cloud.Network, id, subnets.UpdateOpts{DNSNameservers: &dns, EnableDHCP: &dhcp},
		).Extract(); err != nil {
			return "", failed("repair "+Subnet, name, err)
		}
		t.w.tell(Repaired, Subnet, name, id, "name servers or DHCP")
	}
	return id, nil
}

// givenNetwork uses an existing network, by its name or id, unchanged.
func (t *topology) givenNetwork(ctx context.Context) error {
	want := t.w.rec.Settings.Network
	all, err := list(ctx, networks.List(t.w.cloud.Network, networks.ListOpts{}), networks.ExtractNetworks)
	if err != nil {
		return failed("look for "+Network, want, err)
	}
	var named []provider.Named
	for _, n := range all {
		named = append(named, provider.Named{ID: n.ID, Name: n.Name})
	}
	i, err := provider.Choose(named, "networks", want)
	if err != nil {
		return err
	}
	n := all[i]
	t.w.rec.given(Thing{Kind: Network, Name: n.Name, ID: n.ID})
	t.w.tell(Found, Network, n.Name, n.ID, "named by the settings: used as it is, and not deleted")
	if len(n.Subnets) > 0 {
		sub, err := subnets.Get(ctx, t.w.cloud.Network, n.Subnets[0]).Extract()
		if err != nil {
			return failed("look for "+Subnet, n.Name, err)
		}
		t.w.rec.given(Thing{Kind: Subnet, Name: sub.Name, ID: sub.ID})
		t.w.rec.Settings.CIDR, t.w.rec.Settings.Gateway = sub.CIDR, sub.GatewayIP
	}
	return t.w.save(ctx)
}

// outside returns the id of the network of floating IPs. "": the cloud has none.
func (t *topology) outside(ctx context.Context) (string, error) {
	yes := true
	type net struct {
		networks.Network
		external.NetworkExternalExt
	}
	pages, err := networks.List(t.w.cloud.Network, external.ListOptsExt{ListOptsBuilder: networks.ListOpts{}, External: &yes}).AllPages(ctx)
	var all []net
	if err == nil {
		err = networks.ExtractNetworksInto(pages, &all)
	}
	if err != nil {
		return "", failed("look for the network of floating IPs for", t.w.opt.Name, err)
	}
	var named []provider.Named
	for _, n := range all {
		named = append(named, provider.Named{ID: n.ID, Name: n.Name})
	}
	want := t.w.rec.Settings.External
	if want == "" {
		switch len(named) {
		case 0:
			return "", nil
		case 1:
			return named[0].ID, nil
		}
		for _, usual := range []string{"nova", "public"} {
			if i := slices.IndexFunc(named, func(n provider.Named) bool { return n.Name == usual }); i >= 0 {
				return named[i].ID, nil
			}
		}
	}
	i, err := provider.Choose(named, "networks of floating IPs", want)
	if err != nil {
		return "", err
	}
	return named[i].ID, nil
}

// router makes the router with its gateway, and an interface on each subnet.
func (t *topology) router(ctx context.Context, network string, subnet ...string) error {
	if t.w.rec.Settings.External == NoExternal {
		return nil
	}
	public, err := t.outside(ctx)
	if err != nil {
		return err
	}
	if public == "" {
		t.w.tell(Left, Router, t.w.opt.Name, "", "there is no network of floating IPs that it could lead to: none is made")
		return nil
	}
	name := t.w.opt.Name
	var all []routers.Router
	id, made, err := t.w.ensure(ctx, part{
		kind: Router, name: name, plural: "routers",
		find: func(ctx context.Context) (out []candidate, err error) {
			all, err = list(
				ctx, routers.List(t.w.cloud.Network, routers.ListOpts{Name: name, ProjectID: t.w.cloud.Project}),
				routers.ExtractRouters,
			)
			for _, r := range all {
				out = append(out, candidate{r.ID, r.CreatedAt, r.Description, r.Tags})
			}
			return out, err
		},
		make: func(ctx context.Context) (string, error) {
			r, err := routers.Create(
				ctx, t.w.cloud.Network,
				routers.CreateOpts{Name: name, Description: t.w.mark.text(), GatewayInfo: &routers.GatewayInfo{NetworkID: public}},
			).Extract()
			if err != nil {
				return "", err
			}
			return r.ID, nil
		},
		drop: t.dropRouter,
	})
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(all, func(r routers.Router) bool { return r.ID == id }); i >= 0 && made &&
		all[i].GatewayInfo.NetworkID != public {
		if err := t.repairGateway(ctx, id, public); err != nil {
			return err
		}
	}
	for i, s := range subnet {
		if i > 0 && s == "" && (!t.w.opt.DryRun || t.w.rec.Settings.CIDR6 == "") {
			continue
		}
		if err := t.join(ctx, network, id, s, made); err != nil {
			return err
		}
	}
	return nil
}

// repairGateway connects a router with the public network again. With DryRun it only tells that
// it would.
func (t *topology) repairGateway(ctx context.Context, id, public string) error {
	if t.w.opt.DryRun {
		t.w.tell(WouldFix, Router, t.w.opt.Name, id, "its gateway")
		return nil
	}
	if _, err := routers.Update(
		ctx, t.w.cloud.Network, id, routers.UpdateOpts{GatewayInfo: &routers.GatewayInfo{NetworkID: public}},
	).Extract(); err != nil {
		return failed("repair the gateway of "+Router, t.w.opt.Name, err)
	}
	t.w.tell(Repaired, Router, t.w.opt.Name, id, "its gateway")
	return nil
}

// join makes an interface of the router on a subnet. If that fails, a router that was just made is
// deleted.
func (t *topology) join(ctx context.Context, network, router, subnet string, made bool) error {
	name := "of " + t.w.opt.Name
	if s := t.w.rec.find(Subnet, t.w.opt.Name+"-6"); s != nil && subnet == s.ID {
		name += ", IPv6"
	}
	if router == "" || subnet == "" {
		t.w.tell(wouldMake, Interface, name, "", "")
		return nil
	}
	port, err := t.joined(ctx, network, router, subnet)
	if err != nil {
		return failed("look for "+Interface, name, err)
	}
	if port != "" {
		if known := t.w.rec.find(Interface, name); known == nil || known.ID != port {
			t.w.rec.note(Thing{Kind: Interface, Name: name, ID: port, Made: made || known != nil && known.Made})
		}
		t.w.tell(Found, Interface, name, port, "")
		return t.w.save(ctx)
	}
	if t.w.opt.DryRun {
		t.w.tell(wouldMake, Interface, name, "", "")
		return nil
	}
	t.w.rec.note(Thing{Kind: Interface, Name: name, Made: true})
	if err := t.w.save(ctx); err != nil {
		return err
	}
	info, err := routers.AddInterface(ctx, t.w.cloud.Network, router, routers.AddInterfaceOpts{SubnetID: subnet}).Extract()
	if err != nil {
		err = failed("add "+Interface, name, err)
		// another process was faster
		if port, lookErr := t.joined(ctx, network, router, subnet); lookErr == nil && port != "" {
			t.w.rec.note(Thing{Kind: Interface, Name: name, ID: port, Made: true})
			return t.w.save(ctx)
		}
		if made && ctx.Err() == nil {
			if undo := t.dropRouter(ctx, router); undo == nil || isGone(undo) {
				t.w.rec.forget(Interface, name)
				t.w.rec.forget(Router, t.w.opt.Name)
				t.w.tell(Deleted, Router, t.w.opt.Name, router, "its interface could not be added")
				err = errors.Join(err, t.w.save(ctx))
			}
		}
		return err
	}
	t.w.rec.note(Thing{Kind: Interface, Name: name, ID: info.PortID, Made: true})
	t.w.tell(Made, Interface, name, info.PortID, "")
	return t.w.save(ctx)
}

// joined returns the port of a router's interface on a subnet, or "".
func (t *topology) joined(ctx context.Context, network, router, subnet string) (string, error) {
	all, err := list(ctx, ports.List(t.w.cloud.Network, ports.ListOpts{DeviceID: router, NetworkID: network}), ports.ExtractPorts)
	for _, p := range all {
		if slices.ContainsFunc(p.FixedIPs, func(ip ports.IP) bool { return ip.SubnetID == subnet }) {
			return p.ID, nil
		}
	}
	return "", err
}

// dropRouter deletes a router with its interfaces.
func (t *topology) dropRouter(ctx context.Context, id string) error {
	all, err := list(ctx, ports.List(t.w.cloud.Network, ports.ListOpts{DeviceID: id}), ports.ExtractPorts)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.DeviceOwner == "network:router_gateway" {
			continue
		}
		if err := t.part(ctx, id, p.ID); err != nil && !isGone(err) {
			return err
		}
	}
	return routers.Delete(ctx, t.w.cloud.Network, id).ExtractErr()
}

// part deletes a router's interface. It waits a little for floating IPs that are being deleted.
func (t *topology) part(ctx context.Context, router, port string) error {
	return t.w.again(ctx, func() error {
		_, err := routers.RemoveInterface(ctx, t.w.cloud.Network, router, routers.RemoveInterfaceOpts{PortID: port}).Extract()
		return err
	})
}
