package openstack

import (
	"context"
	"fmt"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/hostler-project/hostler/compute"
)

// Resize gives a server another flavor, by its id or name, and confirms that. The cloud may move it
// to another host, and restarts it if it ran. Its disk, name and addresses stay. Resize continues
// what an interrupted call began. ErrNoCapacity: no host has room, or the quota forbids it. The
// server is then unchanged.
func (p *Provider) Resize(ctx context.Context, id compute.ID, flavor string) error {
	return Classify("Resize", id, p.resize(ctx, id, flavor))
}

// resize waits until the server has settled, before the resize and after it. A server that has
// the flavor already is left alone.
func (p *Provider) resize(ctx context.Context, id compute.ID, name string) error {
	want, err := p.s.Catalog().Flavor(ctx, name)
	if err != nil {
		return err
	}
	s, err := p.settled(ctx, id)
	if err != nil {
		return err
	}
	if flavorOf(s) != want.ID {
		err := p.act(ctx, "Resize", id, func(ctx context.Context, c *gophercloud.ServiceClient) error {
			return servers.Resize(ctx, c, s.ID, servers.ResizeOpts{FlavorRef: want.ID}).ExtractErr()
		})
		if err != nil {
			return err
		}
		p.inv.servers.drop()
		if s, err = p.settled(ctx, id); err != nil {
			return err
		}
	}
	if flavorOf(s) != want.ID {
		return &compute.Error{
			Op: "openstack.Resize", ID: id, Kind: compute.ErrNoCapacity,
			Err:  fmt.Errorf("the cloud took it up, and left the server as it was, without %s", want.Name),
			Hint: "it mostly means that no host has room: try another flavor",
		}
	}
	p.seen.forget(id) // it was restarted
	return nil
}

// settled waits until no resize of a server is under way, and confirms a finished one.
func (p *Provider) settled(ctx context.Context, id compute.ID) (s servers.Server, err error) {
	for {
		err = p.until(ctx, "Resize", id, func(now servers.Server) bool {
			s = now
			return now.TaskState == "" && now.Status != "RESIZE" && now.Status != "REVERT_RESIZE" && now.Status != "BUILD"
		})
		if err != nil || s.Status != "VERIFY_RESIZE" {
			return s, err
		}
		c, err := p.s.Compute(ctx)
		if err != nil {
			return s, err
		}
		err = servers.ConfirmResize(ctx, c, s.ID).ExtractErr()
		// The cloud itself or another process was faster; or the confirmation is under way
		// ("Instance has not been resized").
		if r := ReasonOf(Classify("Resize", id, err)); err != nil && r != Conflicting && r != BadRequest {
			return s, err
		}
		p.inv.servers.drop()
		if err := sleep(ctx, p.inv.tick()); err != nil {
			return s, err
		}
	}
}

// flavorOf returns the id of a server's flavor.
func flavorOf(s servers.Server) string {
	id, _ := s.Flavor["id"].(string)
	return id
}
