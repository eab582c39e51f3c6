package openstack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
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
	if provider.WasUnasked(err) {
		return in, provider.Unasked(Classify("Create", spec.ID, err))
	}
	return in, Classify("Create", spec.ID, err)
}

// create plans and requests a server until one has a host, or every flavor has failed.
func (p *Provider) create(ctx context.Context, spec compute.Spec) (none compute.Instance, err error) {
	if !plainName().MatchString(string(spec.ID)) || !strings.HasPrefix(string(spec.ID), p.o.Source+"-") {
		return none, provider.Unasked(&compute.Error{
			Op: "openstack.Create", ID: spec.ID, Kind: compute.ErrInvalid,
			Err: fmt.Errorf("not a name for a server of source %s", p.o.Source),
		})
	}
	unlock, err := p.turns.lock(ctx, spec.ID)
	if err != nil {
		return none, err
	}
	defer unlock()
	v, err := p.inv.servers.fresh(ctx)
	if err != nil { // perhaps the log-in failed; nothing was asked for
		return none, provider.Unasked(err)
	}
	if _, ok := v.one(spec.ID); ok {
		return p.settle(ctx, spec.ID, v)
	}
	short, renewed := shortage{}, false
	for {
		pl, err := p.planner.plan(ctx, spec)
		switch {
		case err != nil && len(short) == 0 && !renewed:
			return none, provider.Unasked(err)
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
		if err != nil || !p.hardware.chooses(spec) {
			return in, err
		}
		f, err := p.placed(ctx, spec.ID, v)
		if err != nil || f == nil {
			return in, err
		}
		p.log.Info("no host has room for a flavor", "instance", spec.ID, "source", p.o.Source, "flavor", pl.flavor.Name, "err", f)
		short = append(short, lack{pl.flavor, f})
		if next, err := p.hardware.flavor(ctx, spec, pl.image); err != nil || short.has(next) {
			// the failed server stays until it is destroyed, as it has the reason
			return none, short.error(spec.ID)
		}
		if err := p.inv.vacate(ctx, spec.ID); err != nil {
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
	nics, address, err := p.inv.connectNetworks(ctx, pl)
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
		volume, err := p.inv.volume(ctx, pl)
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
	return p.inv.servers.fresh(ctx) // a request that we took for lost may have made another
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
		if err := p.pair.ensure(ctx, pl.key); err != nil {
			return err
		}
		_, err := servers.Create(ctx, c, withKey{opts, pl.key.name}, hints).Extract()
		if err == nil {
			return nil
		}
		err = Classify("Create", pl.id, err)
		// the last server of the source went meanwhile, and its key pair too
		if again && pl.key.public != "" && strings.Contains(err.Error(), "Invalid key_name") {
			p.pair.set(unknown)
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
		if err := p.inv.deleteServer(ctx, s); err != nil {
			return compute.Instance{}, err
		}
	}
	return p.instance(ctx, all[0], id), nil
}

// describe returns a server's metadata.
func (p *Provider) describe(pl plan, address string) map[string]string {
	out := maps.Clone(p.metadata)
	maps.Copy(out, p.inv.mark(pl.id).Metadata())
	out[keyUser], out[keyImage] = pl.user, pl.image.Name
	if pl.hostKey != "" {
		out[keyHostKey] = pl.hostKey
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

// scheduling is how long Create waits for a host. A server without one by then is waited for like
// any other, and no other flavor is tried.
const scheduling = time.Minute

// placed waits until a server has a host, and remembers that. If no host has room, f is the cloud's
// fault.
func (p *Provider) placed(ctx context.Context, id compute.ID, v view) (f *Fault, err error) {
	for end := time.Now().Add(scheduling); ; {
		s, ok := v.one(id)
		switch {
		case !ok:
			return nil, &compute.Error{
				Op: "openstack.Create", ID: id, Kind: compute.ErrNotFound,
				Err: errors.New("the server went while it was made"),
			}
		case s.Status == "ERROR":
			if err := p.health.broken(ctx, s, id); ReasonOf(err) == NoHardware && errors.As(err, &f) {
				return f, nil
			}
			return nil, nil // Connect will tell it
		case s.Status != "BUILD" || s.TaskState != "scheduling":
			if name, ok := s.Flavor["id"].(string); ok {
				p.hardware.succeeded(name)
			}
			return nil, nil
		case time.Now().After(end):
			return nil, nil
		}
		if err := sleep(ctx, p.inv.tick()); err != nil {
			return nil, err
		}
		if v, err = p.inv.servers.recent(ctx, p.inv.tick()/2); err != nil {
			return nil, err
		}
	}
}
