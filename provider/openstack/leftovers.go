package openstack

import (
	"context"
	"errors"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
)

// deleteServer asks for a deletion and does not wait for it. A server that is being deleted or
// gone is no error.
func (inv *inventory) deleteServer(ctx context.Context, s servers.Server) error {
	if s.TaskState == "deleting" {
		return nil
	}
	c, err := inv.s.Compute(ctx)
	if err != nil {
		return err
	}
	return gone(servers.Delete(ctx, c, s.ID).ExtractErr())
}

// deleteLeftovers deletes what was made for a server that is gone. left: something was there, and
// may take time to go.
func (inv *inventory) deleteLeftovers(ctx context.Context, id compute.ID) (left bool, err error) {
	net, err := inv.s.Network(ctx)
	if err != nil {
		return false, err
	}
	ips, err := inv.floating.fresh(ctx)
	if err != nil {
		return false, err
	}
	for _, f := range ips {
		if of, ok := inv.ours(MarkIn(f.Description)); !ok || of != id {
			continue
		}
		if err := gone(floatingips.Delete(ctx, net, f.ID).ExtractErr()); err != nil {
			return true, err
		}
		left = true
	}
	all, err := inv.ports.fresh(ctx)
	if err != nil {
		return left, err
	}
	for _, port := range all {
		if of, ok := inv.ours(MarkIn(port.Description)); !ok || of != id {
			continue
		}
		if err := gone(ports.Delete(ctx, net, port.ID).ExtractErr()); err != nil {
			return true, err
		}
		left = true
	}
	disks, err := inv.volumes.fresh(ctx)
	if err != nil {
		return left, err
	}
	for _, v := range disks {
		if of, ok := inv.ours(MarkOf(v.Metadata)); !ok || of != id {
			continue
		}
		left = true
		// Nova deletes it after the server, or Cinder is working on it. It cannot be deleted now,
		// and the next call finds it.
		if v.Status == "deleting" || v.Status == "in-use" || v.Status == "creating" || v.Status == "downloading" ||
			v.Status == "detaching" || v.Status == "attaching" || v.Status == "reserved" {
			continue
		}
		c, err := inv.s.Volumes(ctx)
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

// vacate deletes the servers of a name and waits until they are gone. What was made for them stays
// for the next one.
func (inv *inventory) vacate(ctx context.Context, id compute.ID) error {
	for end := time.Now().Add(time.Minute); ; {
		v, err := inv.servers.fresh(ctx)
		if err != nil {
			return err
		}
		all := v.servers[id]
		if len(all) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return &compute.Error{
				Op: "openstack.Create", ID: id, Kind: compute.ErrTimeout,
				Err: errors.New("the server for which there was no host is not gone yet, so none of another flavor can be made"),
			}
		}
		for _, s := range all {
			if err := inv.deleteServer(ctx, s); err != nil {
				return err
			}
		}
		if err := sleep(ctx, inv.o.Poll); err != nil {
			return err
		}
	}
}
