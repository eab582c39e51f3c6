package openstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// The keys of a server's metadata besides its mark. With them a later process needs no list of
// images and flavors.
const (
	keyUser     = "hostler:user"
	keyImage    = "hostler:image"
	keyDisk     = "hostler:disk"        // in bytes, if it is not the flavor's
	keyFloating = "hostler:floating-ip" // yes: it is reached by one
	keyAddress  = "hostler:address"     // the address in the first of its networks
)

var plainName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,200}$`) })

// plan is what a server is made of.
type plan struct {
	id       compute.ID
	image    images.Image
	flavor   flavor.Flavor
	disk     int // GiB of the volume that it boots from; 0: none
	networks []string
	groups   []string
	pool     string // the network of its floating IP; "": none
	zone     string
	group    string // its server group
	key      loginKey
	user     string
	userData []byte
	hostKey  string
}

// Create makes a server, finishes one that was begun, or returns the existing one. It makes the
// ports first, so the address is known, then what else is needed, then the server. With several
// flavor sets it waits until the server has a host. If no host has room, it takes the flavor of the
// next set. Destroy removes what a failed Create leaves.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	in, err := p.create(ctx, spec)
	if compute.WasUnasked(err) {
		return in, compute.Unasked(Classify("Create", spec.ID, err))
	}
	return in, Classify("Create", spec.ID, err)
}

// create plans and requests a server until one has a host, or every flavor has failed.
func (p *Provider) create(ctx context.Context, spec compute.Spec) (none compute.Instance, err error) {
	if !plainName().MatchString(string(spec.ID)) || !strings.HasPrefix(string(spec.ID), p.o.Source+"-") {
		return none, compute.Unasked(&compute.Error{
			Op: "openstack.Create", ID: spec.ID, Kind: compute.ErrInvalid,
			Err: fmt.Errorf("not a name for a server of source %s", p.o.Source),
		})
	}
	unlock, err := p.lock(ctx, spec.ID)
	if err != nil {
		return none, err
	}
	defer unlock()
	v, err := p.servers.fresh(ctx)
	if err != nil {
		return none, err
	}
	if _, ok := v.one(spec.ID); ok {
		return p.settle(ctx, spec.ID, v)
	}
	short, renewed := shortage{}, false
	for {
		pl, err := p.plan(ctx, spec)
		switch {
		case err != nil && len(short) == 0 && !renewed:
			return none, compute.Unasked(err)
		case err != nil: // something was made for it
			return none, err
		case short.has(pl.flavor):
			return none, short.error(spec.ID)
		}
		v, err = p.ask(ctx, pl)
		if !renewed && outdated(err) { // an entry of a cached list is gone
			renewed = true
			p.s.Catalog().Forget()
			continue
		}
		if err != nil {
			return none, err
		}
		in, err := p.settle(ctx, spec.ID, v)
		if err != nil || !p.chooses(spec) {
			return in, err
		}
		f, err := p.placed(ctx, spec.ID, v)
		if err != nil || f == nil {
			return in, err
		}
		p.log.Info("no host has room for a flavor", "instance", spec.ID, "source", p.o.Source, "flavor", pl.flavor.Name, "err", f)
		short = append(short, lack{pl.flavor, f})
		if next, err := p.flavor(ctx, spec, pl.image); err != nil || short.has(next) {
			// the failed server stays until it is destroyed, as it has the reason
			return none, short.error(spec.ID)
		}
		if err := p.vacate(ctx, spec.ID); err != nil {
			return none, err
		}
	}
}

// outdated reports whether a cloud refused because the requested image or flavor does not exist.
func outdated(err error) bool {
	if r := ReasonOf(err); r != BadRequest && r != Missing {
		return false
	}
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "image") || strings.Contains(text, "flavor")
}

// ask makes what a server needs and requests the server. It returns the servers afterwards.
func (p *Provider) ask(ctx context.Context, pl plan) (none view, err error) {
	nics, address, err := p.connectNetworks(ctx, pl)
	if err != nil {
		return none, err
	}
	opts := servers.CreateOpts{
		Name: string(pl.id), ImageRef: pl.image.ID, FlavorRef: pl.flavor.ID, UserData: pl.userData,
		AvailabilityZone: pl.zone, Networks: nics, Metadata: p.describe(pl, address),
	}
	if p.o.ConfigDrive {
		opts.ConfigDrive = &p.o.ConfigDrive
	}
	if pl.disk > 0 {
		volume, err := p.volume(ctx, pl)
		if err != nil {
			return none, err
		}
		opts.ImageRef = ""
		opts.BlockDevice = []servers.BlockDevice{{
			SourceType: servers.SourceVolume, DestinationType: servers.DestinationVolume, UUID: volume,
			DeleteOnTermination: true,
		}}
	}
	if err := p.post(ctx, pl, opts); err != nil {
		return none, err
	}
	return p.servers.fresh(ctx) // a request that we took for lost may have made another
}

// post sends the request for the server itself.
func (p *Provider) post(ctx context.Context, pl plan, opts servers.CreateOpts) error {
	c, err := p.s.Compute(ctx)
	if err != nil {
		return err
	}
	var hints servers.SchedulerHintOptsBuilder
	if pl.group != "" {
		hints = servers.SchedulerHintOpts{Group: pl.group}
	}
	for again := true; ; again = false {
		if err := p.ensureKey(ctx, pl.key); err != nil {
			return err
		}
		_, err := servers.Create(ctx, c, withKey{opts, pl.key.name}, hints).Extract()
		if err == nil {
			return nil
		}
		err = Classify("Create", pl.id, err)
		// the last server of the source went meanwhile, and its key pair too
		if again && pl.key.public != "" && strings.Contains(err.Error(), "Invalid key_name") {
			p.forgetKey()
			continue
		}
		return err
	}
}

// withKey adds the key pair's name, which is an extension in gophercloud.
type withKey struct {
	servers.CreateOpts
	name string
}

// ToServerCreateMap implements servers.CreateOptsBuilder.
func (k withKey) ToServerCreateMap() (map[string]any, error) {
	m, err := k.CreateOpts.ToServerCreateMap()
	if err == nil && k.name != "" {
		m["server"].(map[string]any)["key_name"] = k.name
	}
	return m, err
}

// settle returns the oldest server of a name. It destroys younger ones: they come from requests
// that were taken for lost.
func (p *Provider) settle(ctx context.Context, id compute.ID, v view) (compute.Instance, error) {
	all := v.servers[id]
	if len(all) == 0 {
		return compute.Instance{}, &compute.Error{
			Op: "openstack.Create", ID: id, Kind: compute.ErrFailed,
			Err: errors.New("the cloud took the request, and does not list the server"), Hint: "try again",
		}
	}
	for _, s := range all[1:] {
		p.log.Warn("a second server of one name is destroyed", "instance", id, "source", p.o.Source, "server", s.ID)
		if err := p.deleteServer(ctx, s); err != nil {
			return compute.Instance{}, err
		}
	}
	return p.instance(ctx, all[0], id), nil
}

// describe returns a server's metadata.
func (p *Provider) describe(pl plan, address string) map[string]string {
	out := maps.Clone(p.metadata)
	maps.Copy(out, p.mark(pl.id).Metadata())
	out[keyUser], out[keyImage] = pl.user, pl.image.Name
	if pl.hostKey != "" {
		out[KeyHostKey] = pl.hostKey
	}
	if pl.disk > 0 {
		out[keyDisk] = strconv.FormatInt(int64(pl.disk)<<30, 10)
	}
	if pl.pool != "" {
		out[keyFloating] = "yes"
	}
	if address != "" {
		out[keyAddress] = address
	}
	for k, v := range out {
		if len(v) > 255 {
			out[k] = v[:255]
		}
	}
	return out
}

// sought adds to an error which source looked for a thing of the cloud: its deleter may not know
// that.
func (p *Provider) sought(what string, err error) error {
	return fmt.Errorf("the %s for source %s: %w", what, p.o.Source, err)
}

// plan finds out what a server is to be made of. It makes nothing.
func (p *Provider) plan(ctx context.Context, spec compute.Spec) (pl plan, err error) {
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
	if pl.flavor, err = p.flavor(ctx, spec, pl.image); err != nil {
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
		id, err := known(ctx, cat.groups, func(all []compute.Named) (string, error) { return one(all, "security groups", g) })
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
			ctx, cat.sgroups, func(all []compute.Named) (string, error) { return one(all, "server groups", g) },
		); err != nil {
			return pl, err
		}
	}
	if pl.user = p.o.User; pl.user == "" {
		pl.user = UserOf(pl.image)
	}
	if pl.key, err = p.loginKey(); err != nil {
		return pl, err
	}
	return pl, p.tell(&pl, spec)
}

// volume returns the volume that a server boots from, made of its image. If one was begun, it is
// that one.
func (p *Provider) volume(ctx context.Context, pl plan) (string, error) {
	c, err := p.s.Volumes(ctx)
	if errors.Is(err, ErrNoService) {
		return "", &compute.Error{
			Op: "openstack.Create", ID: pl.id, Kind: compute.ErrTooLarge,
			Err:  fmt.Errorf("%d GiB of disk are more than flavor %s has, and %w", pl.disk, pl.flavor.Name, ErrNoService),
			Hint: "choose a flavor with a larger disk",
		}
	} else if err != nil {
		return "", err
	}
	all, err := p.volumes.fresh(ctx)
	if err != nil {
		return "", err
	}
	id := ""
	for _, v := range all {
		if of, ok := p.ours(MarkOf(v.Metadata)); ok && of == pl.id && v.Status != "deleting" && !strings.HasPrefix(v.Status, "error") {
			id = v.ID
		}
	}
	if id == "" {
		v, err := volumes.Create(ctx, c, volumes.CreateOpts{
			Name: string(pl.id), Size: pl.disk, ImageID: pl.image.ID, VolumeType: p.o.VolumeType,
			Metadata: p.mark(pl.id).Metadata(), Description: "of a server of hostler",
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
		if err := sleep(ctx, max(p.o.Poll, 500*time.Millisecond)); err != nil {
			return "", err
		}
	}
}

// userData returns the parts of the source's file and of the request.
func (p *Provider) userData(spec compute.Spec) (all [][]byte, err error) {
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
