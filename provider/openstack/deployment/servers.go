package deployment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// ServerInfo describes a server of this installation.
type ServerInfo struct {
	openstack.Mark
	ID        string
	Name      string
	Status    string // the cloud's status: ACTIVE, BUILD, ERROR, ...
	Addresses []string
	Flavor    string // its id
	Zone      string
	Created   time.Time
	Problem   string // why it seems to be dead; "": it is fine
}

// Servers lists the servers of an installation in the project, the oldest first. name selects those
// of a deployment. "": all servers.
func Servers(ctx context.Context, cloud Cloud, installation, name string) ([]ServerInfo, error) {
	all, err := list(ctx, servers.List(cloud.Compute, servers.ListOpts{}), servers.ExtractServers)
	if err != nil {
		return nil, failed("list servers", name, err)
	}
	var out []ServerInfo
	for _, s := range all {
		m, ok := openstack.MarkOf(s.Metadata)
		if !ok || m.Installation != installation || name != "" && m.Deployment != name {
			continue
		}
		flavor, _ := s.Flavor["id"].(string)
		info := ServerInfo{
			Mark: m, ID: s.ID, Name: s.Name, Status: s.Status, Addresses: addresses(s), Flavor: flavor,
			Zone: s.AvailabilityZone, Created: s.Created,
		}
		switch s.Status {
		case "ERROR":
			info.Problem = cmp.Or(strings.TrimSpace(s.Fault.Message), "the cloud says ERROR, and not why")
		case "UNKNOWN", "DELETED", "SOFT_DELETED":
			info.Problem = "the cloud says " + s.Status
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b ServerInfo) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID)) })
	return out, nil
}

// DestroyServer deletes a server of this installation with its ports, volumes and floating IPs, and
// waits until they are gone. A missing server is no error. opt.Name may be empty.
func DestroyServer(ctx context.Context, cloud Cloud, opt Options, s ServerInfo) error {
	if s.Installation != opt.Installation || s.Installation == "" {
		return &compute.Error{
			ID: compute.ID(s.Name), Kind: compute.ErrDenied,
			Err: errors.New("hostler did not make it, or another installation did"),
		}
	}
	opt.Name = cmp.Or(opt.Name, s.Deployment, "server")
	w, err := begin(cloud, opt)
	if err != nil {
		return err
	}
	w.rec = &Record{}
	if opt.DryRun {
		w.tell(WouldDrop, Server, s.Name, s.ID, "")
		return nil
	}
	if err := w.servers(ctx, []Thing{{Server, s.Name, s.ID, true}}); err != nil {
		return err
	}
	if s.Instance == "" {
		return nil // its parts cannot be told from others
	}
	return w.dropOf(ctx, s.Mark)
}

// dropOf deletes what was made for one instance besides its server.
func (w *work) dropOf(ctx context.Context, of openstack.Mark) error {
	is := func(m openstack.Mark, ok bool) bool {
		return ok && m.Installation == of.Installation && m.Instance == of.Instance
	}
	var things [3][]Thing
	all, err := list(ctx, ports.List(w.cloud.Network, ports.ListOpts{ProjectID: w.cloud.Project}), ports.ExtractPorts)
	if err != nil {
		return failed("list ports of", string(of.Instance), err)
	}
	for _, p := range all {
		if is(openstack.MarkIn(p.Description)) {
			things[0] = append(things[0], Thing{Port, p.Name, p.ID, true})
		}
	}
	if w.cloud.Volume != nil {
		all, err := list(ctx, volumes.List(w.cloud.Volume, volumes.ListOpts{}), volumes.ExtractVolumes)
		if err != nil {
			return failed("list volumes of", string(of.Instance), err)
		}
		for _, v := range all {
			if is(openstack.MarkOf(v.Metadata)) {
				things[1] = append(things[1], Thing{Volume, v.Name, v.ID, true})
			}
		}
	}
	ips, err := list(
		ctx, floatingips.List(w.cloud.Network, floatingips.ListOpts{ProjectID: w.cloud.Project}),
		floatingips.ExtractFloatingIPs,
	)
	if err != nil {
		return failed("list floating IPs of", string(of.Instance), err)
	}
	for _, ip := range ips {
		if is(openstack.MarkIn(ip.Description)) {
			things[2] = append(things[2], Thing{FloatingIP, ip.FloatingIP, ip.ID, true})
		}
	}
	return errors.Join(
		w.each(ctx, things[0], func(ctx context.Context, t Thing) error { return ports.Delete(ctx, w.cloud.Network, t.ID).ExtractErr() }),
		w.each(ctx, things[1], func(ctx context.Context, t Thing) error { return w.volume(ctx, t.ID) }),
		w.each(ctx, things[2], func(ctx context.Context, t Thing) error {
			return floatingips.Delete(ctx, w.cloud.Network, t.ID).ExtractErr()
		}))
}

// FindServer returns the server with a name, an instance's name, an address or an id.
func FindServer(all []ServerInfo, want string) (ServerInfo, error) {
	var found []ServerInfo
	for _, s := range all {
		if s.ID == want || s.Name == want || string(s.Instance) == want || hostName(s.Name) == want || slices.Contains(s.Addresses, want) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return ServerInfo{}, &compute.Error{
			ID: compute.ID(want), Kind: compute.ErrNotFound,
			Err:  errors.New("no server of this installation has this name, address or id"),
			Hint: "hostler cloud servers lists them",
		}
	}
	return ServerInfo{}, &compute.Error{
		ID: compute.ID(want), Kind: compute.ErrConflict, Err: fmt.Errorf("%d servers have this name", len(found)),
		Hint: "name one by its id: " + found[0].ID + ", " + found[1].ID,
	}
}
