package openstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// ownScript removes what belongs to one computer alone, as provider.MachineOwn lists it. Files that
// the system needs are emptied.
const ownScript = `s=; [ "$(id -u)" = 0 ] || s="sudo -n"
$s sh -c 'rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed; : >/etc/machine-id; rm -rf /var/lib/cloud/instance /var/lib/cloud/instances; find /tmp -xdev -mindepth 1 -delete; sync'`

// Snapshot makes an image of a server, which is stopped for that. Another image of ours with the
// name is deleted when the new one is complete.
func (p *Provider) Snapshot(ctx context.Context, id compute.ID, spec provider.ImageSpec) (string, error) {
	s, err := p.inv.fresh(ctx, id)
	if err != nil {
		return "", err
	}
	if image, _ := s.Image["id"].(string); image == "" {
		return "", &compute.Error{
			Op: "openstack.Snapshot", ID: id, Kind: compute.ErrInvalid,
			Err:  errors.New("an image of a server on a volume would be a snapshot of the volume"),
			Hint: "leave disk out for what images are made of",
		}
	}
	if s.Status == "ACTIVE" {
		if err := p.clear(ctx, id); err != nil {
			return "", err
		}
		if err := p.stop(ctx, id, time.Minute, false); err != nil {
			return "", err
		}
	}
	// One at a time: a dead process may have requested one.
	if err := p.until(ctx, "Snapshot", id, func(s servers.Server) bool { return !strings.HasPrefix(s.TaskState, "image_") }); err != nil {
		return "", err
	}
	metadata := p.inv.mark(id).Metadata()
	for k, v := range spec.Labels {
		if len(k) <= 255 && len(v) <= 255 {
			metadata[k] = v
		}
	}
	if u := s.Metadata[keyUser]; u != "" {
		metadata["os_admin_user"] = u
	}
	made := ""
	err = p.act(ctx, "Snapshot", id, func(ctx context.Context, c *gophercloud.ServiceClient) (err error) {
		// without its id we could not delete it; the session ends an unanswered request
		ctx = context.WithoutCancel(ctx)
		made, err = servers.CreateImage(ctx, c, s.ID, servers.CreateImageOpts{Name: spec.Name, Metadata: metadata}).ExtractImageID()
		return err
	})
	if err != nil {
		return "", err
	}
	c, err := p.s.Images(ctx)
	if err != nil {
		return "", err
	}
	if err := p.saved(ctx, c, id, made); err != nil {
		const patience = 10 * time.Second
		// an incomplete image is of no use
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if left := gone(images.Delete(last, c, made).ExtractErr()); left != nil {
			p.log.Warn("an image that was not finished stays", "image", made, "source", p.o.Source, "err", left)
		}
		return "", err
	}
	return spec.Name, p.replace(ctx, c, spec.Name, made)
}

// saved waits until an image is complete.
func (p *Provider) saved(ctx context.Context, c *gophercloud.ServiceClient, id compute.ID, made string) error {
	for {
		i, err := images.Get(ctx, c, made).Extract()
		if err != nil {
			return Classify("Snapshot", id, err)
		}
		switch i.Status {
		case images.ImageStatusActive:
			return nil
		case images.ImageStatusQueued, images.ImageStatusSaving, images.ImageStatusUploading, images.ImageStatusImporting:
		default:
			return &compute.Error{
				Op: "openstack.Snapshot", ID: id, Kind: compute.ErrFailed,
				Err: fmt.Errorf("image %s is %s: the cloud could not save it", made, i.Status),
			}
		}
		if err := sleep(ctx, p.o.Poll); err != nil {
			return Classify("Snapshot", id, err)
		}
	}
}

// unfinished is how long after its request another process may still be making an incomplete image.
const unfinished = time.Hour

// replace deletes other images of this installation with a name: the complete ones, and those that
// a dead process left incomplete.
func (p *Provider) replace(ctx context.Context, c *gophercloud.ServiceClient, name, keep string) error {
	project, _, err := p.s.Project(ctx)
	if err != nil {
		return err
	}
	// a name with a colon would be a comparison
	pages, err := images.List(c, images.ListOpts{Owner: project, Limit: 500}).AllPages(ctx)
	if err != nil {
		return ClassifyList("Snapshot", "", err)
	}
	all, err := images.ExtractImages(pages)
	if err != nil {
		return Classify("Snapshot", "", err)
	}
	var since time.Time // by the cloud's clock
	for _, i := range all {
		if i.ID == keep {
			since = i.CreatedAt.Add(-unfinished)
		}
	}
	for _, i := range all {
		if owner, _ := i.Properties[keyInstallation].(string); i.Name != name || i.ID == keep || owner != p.o.Installation {
			continue
		}
		if i.Status != images.ImageStatusActive && !i.CreatedAt.Before(since) {
			continue
		}
		if err := gone(images.Delete(ctx, c, i.ID).ExtractErr()); err != nil {
			return err
		}
	}
	p.s.Catalog().images.drop()
	return nil
}

// clear logs in and removes what is this server's alone.
func (p *Provider) clear(ctx context.Context, id compute.ID) error {
	conn, err := p.Connect(ctx, id)
	if err != nil {
		return err
	}
	defer conn.Close()
	var said bytes.Buffer
	exit, err := conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c", ownScript}, Stderr: &said})
	if err == nil && exit.Status() != 0 {
		err = fmt.Errorf("status %d: %s", exit.Status(), strings.TrimSpace(said.String()))
	}
	if err != nil {
		return &compute.Error{Op: "openstack.Snapshot", ID: id, Err: fmt.Errorf("take away what is this server's alone: %w", err)}
	}
	return nil
}

// ImageDigest returns the id of the image that a name stands for now. Images do not change, but
// names can move.
func (p *Provider) ImageDigest(ctx context.Context, image string, _ bool) (string, error) {
	if image == "" {
		image = p.o.Image
	}
	i, err := p.s.Catalog().Image(ctx, image, false)
	if err != nil {
		return "", err
	}
	return "openstack:" + i.ID, nil
}
