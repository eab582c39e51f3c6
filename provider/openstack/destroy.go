package openstack

import (
	"context"
	"errors"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
)

// Destroy deletes a server, and after its end what was made for it: floating IP, ports and volume.
// ErrNotFound: nothing of it is left.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	return Classify("Destroy", id, p.destroy(ctx, id))
}

func (p *Provider) destroy(ctx context.Context, id compute.ID) error {
	if !plainName().MatchString(string(id)) {
		return &compute.Error{Op: "openstack.Destroy", ID: id, Kind: compute.ErrNotFound, Err: errors.New("not the name of a server")}
	}
	unlock, err := p.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	v, err := p.servers.fresh(ctx)
	if err != nil {
		return err
	}
	if all := v.servers[id]; len(all) > 0 {
		for _, s := range all {
			if err := p.deleteServer(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
	left, err := p.deleteLeftovers(ctx, id)
	if err != nil || left {
		return err
	}
	p.forget(id)
	if len(v.servers) == 0 {
		if err := p.dropKey(ctx); err != nil {
			return err
		}
	}
	return &compute.Error{
		Op: "openstack.Destroy", ID: id, Kind: compute.ErrNotFound,
		Err: errors.New("there is no such server, and nothing that was made for it"),
	}
}

func (p *Provider) deleteServer(ctx context.Context, s servers.Server) error {
	if s.TaskState == "deleting" {
		return nil
	}
	c, err := p.s.Compute(ctx)
	if err != nil {
		return err
	}
	return gone(servers.Delete(ctx, c, s.ID).ExtractErr())
}

// gone removes the error of a deletion if the thing does not exist any more.
func gone(err error) error {
	if err = Classify("Destroy", "", err); ReasonOf(err) == Missing {
		return nil
	}
	return err
}

// deleteLeftovers deletes what was made for a server that is gone. left: something was there, and
// may take time to go.
func (p *Provider) deleteLeftovers(ctx context.Context, id compute.ID) (left bool, err error) {
	net, err := p.s.Network(ctx)
	if err != nil {
		return false, err
	}
	ips, err := p.floating.fresh(ctx)
	if err != nil {
		return false, err
	}
	for _, f := range ips {
		if of, ok := p.ours(MarkIn(f.Description)); !ok || of != id {
			continue
		}
		if err := gone(floatingips.Delete(ctx, net, f.ID).ExtractErr()); err != nil {
			return true, err
		}
		left = true
	}
	all, err := p.ports.fresh(ctx)
	if err != nil {
		return left, err
	}
	for _, port := range all {
		if of, ok := p.ours(MarkIn(port.Description)); !ok || of != id {
			continue
		}
		if err := gone(ports.Delete(ctx, net, port.ID).ExtractErr()); err != nil {
			return true, err
		}
		left = true
	}
	disks, err := p.volumes.fresh(ctx)
	if err != nil {
		return left, err
	}
	for _, v := range disks {
		if of, ok := p.ours(MarkOf(v.Metadata)); !ok || of != id {
			continue
		}
		left = true
		// Nova deletes it after the server, or Cinder is working on it. It cannot be deleted now,
		// and the next call finds it.
		if v.Status == "deleting" || v.Status == "in-use" || v.Status == "creating" || v.Status == "downloading" ||
			v.Status == "detaching" || v.Status == "attaching" || v.Status == "reserved" {
			continue
		}
		c, err := p.s.Volumes(ctx)
		if err != nil {
			return true, err
		}
		// 400: its state has changed meanwhile
		if err := gone(volumes.Delete(ctx, c, v.ID, volumes.DeleteOpts{}).ExtractErr()); err != nil && ReasonOf(err) != BadRequest {
			return true, err
		}
	}
	return left, nil
}
