package openstack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
)

// connectNetworks makes a server's ports and its floating IP, unless an earlier try has made them.
func (inv *inventory) connectNetworks(ctx context.Context, pl plan) (nics []servers.Network, address string, err error) {
	c, err := inv.s.Network(ctx)
	if err != nil {
		return nil, "", err
	}
	there, err := inv.ports.fresh(ctx)
	if err != nil {
		return nil, "", err
	}
	firstPort := ""
	for i, network := range pl.networks {
		var port *ports.Port
		for j := range there {
			if id, ok := inv.ours(MarkIn(there[j].Description)); ok && id == pl.id && there[j].NetworkID == network &&
				there[j].DeviceID == "" {
				port = &there[j]
			}
		}
		if port == nil {
			opts := ports.CreateOpts{NetworkID: network, Name: string(pl.id), Description: inv.mark(pl.id).Description()}
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
	ips, err := inv.floating.fresh(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, f := range ips {
		if id, ok := inv.ours(MarkIn(f.Description)); ok && id == pl.id && f.PortID == firstPort {
			return nics, address, nil
		}
	}
	_, err = floatingips.Create(
		ctx, c,
		floatingips.CreateOpts{FloatingNetworkID: pl.pool, PortID: firstPort, Description: inv.mark(pl.id).Description()},
	).Extract()
	return nics, address, Classify("Create", pl.id, err)
}

// fields limits a list of ports to the fields that we need. A project may have thousands of ports.
type fields string

// ToPortListQuery implements ports.ListOptsBuilder.
func (f fields) ToPortListQuery() (string, error) { return string(f), nil }

// listPorts returns the project's ports, with only those fields set that the query names.
func (inv *inventory) listPorts(ctx context.Context) ([]ports.Port, error) {
	c, err := inv.s.Network(ctx)
	if err != nil {
		return nil, err
	}
	project, _, err := inv.s.Project(ctx)
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

// listFloating returns the project's floating IPs, of any maker.
func (inv *inventory) listFloating(ctx context.Context) ([]floatingips.FloatingIP, error) {
	c, err := inv.s.Network(ctx)
	if err != nil {
		return nil, err
	}
	project, _, err := inv.s.Project(ctx)
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

// listVolumes returns the volumes with this source's metadata. A cloud without a volume service
// has none.
func (inv *inventory) listVolumes(ctx context.Context) ([]volumes.Volume, error) {
	c, err := inv.s.Volumes(ctx)
	if errors.Is(err, ErrNoService) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	pages, err := volumes.List(c, volumes.ListOpts{Metadata: inv.mark("").Metadata()}).AllPages(ctx)
	if err != nil {
		return nil, Classify("List", "", err)
	}
	all, err := volumes.ExtractVolumes(pages)
	return all, Classify("List", "", err)
}

// volume returns the volume that a server boots from, made of its image. If one was begun, it is
// that one.
func (inv *inventory) volume(ctx context.Context, pl plan) (string, error) {
	c, err := inv.s.Volumes(ctx)
	if errors.Is(err, ErrNoService) {
		return "", &compute.Error{
			Op: "openstack.Create", ID: pl.id, Kind: compute.ErrTooLarge,
			Err:  fmt.Errorf("%d GiB of disk are more than flavor %s has, and %w", pl.disk, pl.flavor.Name, ErrNoService),
			Hint: "choose a flavor with a larger disk",
		}
	} else if err != nil {
		return "", err
	}
	all, err := inv.volumes.fresh(ctx)
	if err != nil {
		return "", err
	}
	id := ""
	for _, v := range all {
		if of, ok := inv.ours(MarkOf(v.Metadata)); ok && of == pl.id && v.Status != "deleting" && !strings.HasPrefix(v.Status, "error") {
			id = v.ID
		}
	}
	if id == "" {
		v, err := volumes.Create(ctx, c, volumes.CreateOpts{
			Name: string(pl.id), Size: pl.disk, ImageID: pl.image.ID, VolumeType: inv.o.VolumeType,
			Metadata: inv.mark(pl.id).Metadata(), Description: "of a server of hostler",
		}, nil).Extract()
		if err != nil {
			return "", Classify("Create", pl.id, err)
		}
		id = v.ID
	}
	for {
		v, err := volumes.Get(ctx, c, id).Extract()
		switch {
		case err != nil:
			return "", Classify("Create", pl.id, err)
		case v.Status == "available" || v.Status == "in-use":
			return id, nil
		case strings.HasPrefix(v.Status, "error"):
			return "", &compute.Error{
				Op: "openstack.Create", ID: pl.id, Kind: compute.ErrFailed,
				Err: fmt.Errorf("volume %s is in state %s: the cloud could not make it of image %s", id, v.Status, pl.image.Name),
			}
		}
		if err := sleep(ctx, max(inv.o.Poll, 500*time.Millisecond)); err != nil {
			return "", err
		}
	}
}
