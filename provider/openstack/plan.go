package openstack

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack/login"
)

// planner finds out what servers are to be made of.
type planner struct {
	o        *Options
	s        *Session
	hardware *hardware
	pair     *pair
}

// sought adds to an error which source looked for a thing of the cloud: its deleter may not know
// that.
func (p *planner) sought(what string, err error) error {
	return fmt.Errorf("the %s for source %s: %w", what, p.o.Source, err)
}

// plan finds out what a server is to be made of. It makes nothing.
func (p *planner) plan(ctx context.Context, spec compute.Spec) (pl plan, err error) {
	pl.id = spec.ID
	cat := p.s.Catalog()
	name := spec.Image
	if name == "" {
		name = p.o.Image
	}
	if name == "" {
		return pl, &compute.Error{
			Op: "openstack.Create", ID: spec.ID, Kind: compute.ErrInvalid, Err: errors.New("no image is named"),
			Hint: "set image to the id or name of one, or to what its name begins with",
		}
	}
	if pl.image, err = cat.Image(ctx, name, false); err != nil {
		return pl, p.sought("image", err)
	}
	if pl.flavor, err = p.hardware.flavor(ctx, spec, pl.image); err != nil {
		return pl, p.sought("flavor", err)
	}
	const gib = 1 << 30
	need := max(p.o.Disk, spec.Disk, int64(pl.image.MinDiskGigabytes)*gib)
	if disk := int((need + gib - 1) / gib); disk > pl.flavor.Disk && (pl.flavor.Disk > 0 || max(p.o.Disk, spec.Disk) > 0) {
		pl.disk = disk
	}
	networks := p.o.Network
	if len(networks) == 0 {
		networks = []string{""}
	}
	for _, n := range networks {
		net, err := cat.Network(ctx, n, false)
		if err != nil {
			return pl, err
		}
		pl.networks = append(pl.networks, net.ID)
	}
	for _, g := range p.o.Groups {
		id, err := known(ctx, cat.groups, func(all []provider.Named) (string, error) { return one(all, "security groups", g) })
		if err != nil {
			return pl, err
		}
		pl.groups = append(pl.groups, id)
	}
	if p.o.FloatingIP {
		net, err := cat.Network(ctx, p.o.Pool, true)
		if err != nil {
			return pl, err
		}
		pl.pool = net.ID
	}
	if pl.zone = spec.Location; pl.zone == "" {
		pl.zone = p.o.Zone
	}
	if g := p.o.ServerGroup; g != "" {
		if pl.group, err = known(
			ctx, cat.sgroups, func(all []provider.Named) (string, error) { return one(all, "server groups", g) },
		); err != nil {
			return pl, err
		}
	}
	if pl.user = p.o.User; pl.user == "" {
		pl.user = login.UserOf(pl.image)
	}
	if pl.key, err = p.pair.login(); err != nil {
		return pl, err
	}
	return pl, p.tell(&pl, spec)
}

// userData returns the parts of the source's file and of the request.
func (p *planner) userData(spec compute.Spec) (all [][]byte, err error) {
	if p.o.UserData != "" {
		b, err := os.ReadFile(p.o.UserData)
		if err != nil {
			return nil, &compute.Error{Op: "openstack.Create", ID: spec.ID, Kind: compute.ErrInvalid, Err: fmt.Errorf("user-data: %w", err)}
		}
		all = append(all, b)
	}
	if len(bytes.TrimSpace(spec.UserData)) > 0 {
		all = append(all, spec.UserData)
	}
	return all, nil
}

// mostUserData is Nova's limit, in base64. Our own part takes ownUserData bytes of it.
const (
	mostUserData = 65535
	ownUserData  = 4096
)

// tell builds the user data of a server's first boot, with its host key if that is given.
func (p *planner) tell(pl *plan, spec compute.Spec) error {
	parts, err := p.userData(spec)
	if err != nil {
		return err
	}
	bad := func(err error, hint string) error {
		return &compute.Error{
			Op: "openstack.Create", ID: pl.id, Kind: compute.ErrInvalid, Err: fmt.Errorf("user data: %w", err),
			Hint: hint,
		}
	}
	if pl.userData, pl.hostKey, err = login.FirstBoot(string(pl.id), p.o.HostKey == "given", parts...); err != nil {
		return bad(err, "say host-key = console, or put it in one of cloud-init's forms")
	}
	if base64.StdEncoding.EncodedLen(len(pl.userData)) > mostUserData {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write(pl.userData)
		if err = errors.Join(err, w.Close()); err != nil {
			return err
		}
		pl.userData = b.Bytes()
	}
	if n := base64.StdEncoding.EncodedLen(len(pl.userData)); n > mostUserData {
		return bad(
			fmt.Errorf("%d bytes are more than the %d that a server takes, even compressed", n, mostUserData),
			"have it fetch the rest by itself",
		)
	}
	return nil
}
