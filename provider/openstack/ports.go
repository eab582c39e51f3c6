package openstack

import (
	"context"
	"errors"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
)

// connectNetworks makes a server's ports and its floating IP, unless an earlier try has made them.
func (p *Provider) connectNetworks(ctx context.Context, pl plan) (nics []servers.Network, address string, err error) {
	c, err := p.s.Network(ctx)
	if err != nil {
		return nil, "", err
	}
	there, err := p.ports.fresh(ctx)
	if err != nil {
		return nil, "", err
	}
	firstPort := ""
	for i, network := range pl.networks {
		var port *ports.Port
		for j := range there {
			if id, ok := p.ours(MarkIn(there[j].Description)); ok && id == pl.id && there[j].NetworkID == network &&
				there[j].DeviceID == "" {
				port = &there[j]
			}
		}
		if port == nil {
			opts := ports.CreateOpts{NetworkID: network, Name: string(pl.id), Description: p.mark(pl.id).Description()}
			if len(pl.groups) > 0 {
				opts.SecurityGroups = &pl.groups
			}
			if port, err = ports.Create(ctx, c, opts).Extract(); err != nil {
				return nil, "", Classify("Create", pl.id, err)
			}
		}
		nics = append(nics, servers.Network{Port: port.ID})
		if i == 0 {
			firstPort = port.ID
			for _, ip := range port.FixedIPs {
				if address == "" || strings.Contains(address, ":") && !strings.Contains(ip.IPAddress, ":") {
					address = ip.IPAddress
				}
			}
		}
	}
	if pl.pool == "" {
		return nics, address, nil
	}
	ips, err := p.floating.fresh(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, f := range ips {
		if id, ok := p.ours(MarkIn(f.Description)); ok && id == pl.id && f.PortID == firstPort {
			return nics, address, nil
		}
	}
	_, err = floatingips.Create(
		ctx, c,
		floatingips.CreateOpts{FloatingNetworkID: pl.pool, PortID: firstPort, Description: p.mark(pl.id).Description()},
	).Extract()
	return nics, address, Classify("Create", pl.id, err)
}

// fields limits a list of ports to the fields that we need. A project may have thousands of ports.
type fields string

// ToPortListQuery implements ports.ListOptsBuilder.
func (f fields) ToPortListQuery() (string, error) { return string(f), nil }

func (p *Provider) listPorts(ctx context.Context) ([]ports.Port, error) {
	c, err := p.s.Network(ctx)
	if err != nil {
		return nil, err
	}
	project, _, err := p.s.Project(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := ports.List(
		c,
		fields("?project_id="+project+"&fields=id&fields=name&fields=description&fields=network_id&fields=device_id&fields=fixed_ips"),
	).AllPages(ctx)
	if err != nil {
		return nil, Classify("List", "", err)
	}
	all, err := ports.ExtractPorts(pages)
	return all, Classify("List", "", err)
}

func (p *Provider) listFloating(ctx context.Context) ([]floatingips.FloatingIP, error) {
	c, err := p.s.Network(ctx)
	if err != nil {
		return nil, err
	}
	project, _, err := p.s.Project(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := floatingips.List(c, floatingips.ListOpts{ProjectID: project}).AllPages(ctx)
	if err != nil {
		// a cloud without routers has no floating IPs
		if ReasonOf(Classify("List", "", err)) == Missing {
			return nil, nil
		}
		return nil, Classify("List", "", err)
	}
	all, err := floatingips.ExtractFloatingIPs(pages)
	return all, Classify("List", "", err)
}

func (p *Provider) listVolumes(ctx context.Context) ([]volumes.Volume, error) {
	c, err := p.s.Volumes(ctx)
	if errors.Is(err, ErrNoService) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	pages, err := volumes.List(c, volumes.ListOpts{Metadata: p.mark("").Metadata()}).AllPages(ctx)
	if err != nil {
		return nil, Classify("List", "", err)
	}
	all, err := volumes.ExtractVolumes(pages)
	return all, Classify("List", "", err)
}
