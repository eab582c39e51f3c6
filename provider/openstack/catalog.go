package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servergroups"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/external"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/text/nearest"
)

// keptCatalog is how long the lists of a cloud's offers are reused. If a name is missing in one,
// the list is read again. The half hour is that of wr.
const keptCatalog = 30 * time.Minute

// Network is a network that the project may use.
type Network struct {
	ID, Name string
	External bool // floating IPs come from it
	Shared   bool
}

// Catalog is what a cloud offers a project. Each list is cached, and fetched again when something
// is missing in it. Any number of goroutines may use it.
type Catalog struct {
	flavors  *singleflight[*flavor.Table]
	images   *singleflight[[]images.Image]
	networks *singleflight[[]Network]
	groups   *singleflight[[]provider.Named]
	zones    *singleflight[[]provider.Named]
	sgroups  *singleflight[[]provider.Named] // server groups
}

func newCatalog(s *Session) *Catalog {
	return &Catalog{
		flavors: newSingleflight(s.listFlavors), images: newSingleflight(s.listImages), networks: newSingleflight(s.listNetworks),
		groups: newSingleflight(s.listGroups), zones: newSingleflight(s.listZones), sgroups: newSingleflight(s.listServerGroups),
	}
}

// Flavors returns all flavors of the project.
func (c *Catalog) Flavors(ctx context.Context) (*flavor.Table, error) {
	return c.flavors.recent(ctx, keptCatalog)
}

// Flavor returns a flavor by its id or name.
func (c *Catalog) Flavor(ctx context.Context, name string) (flavor.Flavor, error) {
	return known(ctx, c.flavors, func(t *flavor.Table) (flavor.Flavor, error) { return t.Get(name) })
}

// Images returns all images that a server can be made of.
func (c *Catalog) Images(ctx context.Context) ([]images.Image, error) {
	return c.images.recent(ctx, keptCatalog)
}

// Image returns an image: the one with this id, else the newest with this name, else the newest
// whose name begins so. strict: ErrConflict if several fit.
func (c *Catalog) Image(ctx context.Context, name string, strict bool) (images.Image, error) {
	return known(ctx, c.images, func(all []images.Image) (images.Image, error) { return chooseImage(all, name, strict) })
}

// Networks returns all networks that the project sees.
func (c *Catalog) Networks(ctx context.Context) ([]Network, error) {
	return c.networks.recent(ctx, keptCatalog)
}

// Network returns a network by its id or name. "" means the only one of the project's own, or if
// outside is set, the only external one.
func (c *Catalog) Network(ctx context.Context, name string, outside bool) (Network, error) {
	return known(ctx, c.networks, func(all []Network) (Network, error) { return chooseNetwork(all, name, outside) })
}

// Zones returns the availability zones that are open.
func (c *Catalog) Zones(ctx context.Context) ([]provider.Named, error) {
	return c.zones.recent(ctx, keptCatalog)
}

// known looks in a list, and if the thing is missing, once more in a fresh list.
func known[T, V any](ctx context.Context, s *singleflight[T], look func(T) (V, error)) (V, error) {
	then := time.Now()
	var none V
	list, err := s.recent(ctx, keptCatalog)
	if err != nil {
		return none, err
	}
	v, err := look(list)
	if err == nil || errors.Is(err, compute.ErrInvalid) {
		return v, err
	}
	if list, err = s.since(ctx, then); err != nil {
		return none, err
	}
	return look(list)
}

// chooseImage does the work of Catalog.Image on a list.
func chooseImage(all []images.Image, want string, strict bool) (images.Image, error) {
	var fits []images.Image
	for _, is := range []func(images.Image) bool{
		func(i images.Image) bool { return i.ID == want },
		func(i images.Image) bool { return i.Name == want },
		func(i images.Image) bool { return strings.HasPrefix(i.Name, want) },
	} {
		for _, i := range all {
			if is(i) && want != "" {
				fits = append(fits, i)
			}
		}
		if len(fits) > 0 {
			break
		}
	}
	switch {
	case len(fits) == 0:
		var names []string
		for _, i := range all {
			names = append(names, i.Name)
		}
		return images.Image{}, &compute.Error{
			Op: "openstack.Image", ID: compute.ID(want), Kind: compute.ErrNotFound,
			Err: errors.New("no image has this id or name, nor one that begins so"), Hint: near(names, want),
		}
	case len(fits) > 1 && strict:
		return images.Image{}, &compute.Error{
			Op: "openstack.Image", ID: compute.ID(want), Kind: compute.ErrConflict,
			Err: fmt.Errorf("%d images are called so, or begin so", len(fits)), Hint: "name one by its id",
		}
	}
	return slices.MaxFunc(fits, func(a, b images.Image) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	}), nil
}

// chooseNetwork does the work of Catalog.Network on a list.
func chooseNetwork(all []Network, want string, outside bool) (Network, error) {
	what := "network"
	if outside {
		what = "external network"
	}
	var fits []Network
	var names []string
	for _, n := range all {
		if n.External != outside && (outside || want == "") {
			continue
		}
		names = append(names, n.Name)
		if n.ID == want {
			return n, nil
		}
		if n.Name == want || want == "" {
			fits = append(fits, n)
		}
	}
	if want == "" && len(fits) > 1 { // its own before shared ones
		own := slices.DeleteFunc(slices.Clone(fits), func(n Network) bool { return n.Shared })
		if len(own) > 0 {
			fits = own
		}
	}
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) > 1:
		return Network{}, &compute.Error{
			Op: "openstack.Network", ID: compute.ID(want), Kind: compute.ErrConflict,
			Err:  fmt.Errorf("there are %d: which %s?", len(fits), what),
			Hint: "name one by its id: there are " + strings.Join(names, ", "),
		}
	case want == "":
		return Network{}, &compute.Error{Op: "openstack.Network", Kind: compute.ErrNotFound, Err: fmt.Errorf("the project has no %s", what)}
	}
	return Network{}, &compute.Error{
		Op: "openstack.Network", ID: compute.ID(want), Kind: compute.ErrNotFound,
		Err: fmt.Errorf("no %s has this id or name", what), Hint: near(names, want),
	}
}

// one returns the id of the thing with exactly this id or name.
func one(all []provider.Named, what, want string) (string, error) {
	i, err := provider.Choose(all, what, want)
	if err != nil {
		return "", err
	}
	return all[i].ID, nil
}

// near returns the most similar name for an error, or some of the names.
func near(names []string, want string) string {
	if len(names) == 0 {
		return "there are none"
	}
	if best := nearest.Meant(want, names); best != "" {
		return best + " is the name most like it"
	}
	slices.Sort(names)
	names = slices.Compact(names)
	const some = 5
	text := "there are " + strings.Join(names[:min(some, len(names))], ", ")
	if len(names) > some {
		text += fmt.Sprintf(" and %d more", len(names)-some)
	}
	return text
}

// listFlavors returns all flavors. The number of GPUs comes from a flavor's extra specs.
func (s *Session) listFlavors(ctx context.Context) (*flavor.Table, error) {
	c, err := s.Compute(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := flavors.ListDetail(c, flavors.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, Classify("Flavors", "", err)
	}
	all, err := flavors.ExtractFlavors(pages)
	if err != nil {
		return nil, Classify("Flavors", "", err)
	}
	var out []flavor.Flavor
	for _, f := range all {
		out = append(out, flavor.Flavor{ID: f.ID, Name: f.Name, Cores: f.VCPUs, RAM: f.RAM, Disk: f.Disk, GPUs: gpus(f.ExtraSpecs)})
	}
	return flavor.New(out), nil
}

// gpus reads the two ways in which a flavor tells its GPUs.
func gpus(specs map[string]string) int {
	n := 0
	for k, v := range specs {
		if k == "pci_passthrough:alias" {
			for alias := range strings.SplitSeq(v, ",") {
				_, count, _ := strings.Cut(alias, ":")
				c, err := strconv.Atoi(strings.TrimSpace(count))
				if err == nil && strings.Contains(strings.ToLower(alias), "gpu") {
					n += c
				}
			}
		} else if c, err := strconv.Atoi(v); err == nil && (k == "resources:VGPU" || k == "resources:PGPU") {
			n += c
		}
	}
	return n
}

// listImages returns the active images, of any owner that the project may see.
func (s *Session) listImages(ctx context.Context) ([]images.Image, error) {
	c, err := s.Images(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := images.List(c, images.ListOpts{Status: images.ImageStatusActive, Limit: 500}).AllPages(ctx)
	if err != nil {
		return nil, Classify("Images", "", err)
	}
	all, err := images.ExtractImages(pages)
	return all, Classify("Images", "", err)
}

func (s *Session) listNetworks(ctx context.Context) ([]Network, error) {
	c, err := s.Network(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := networks.List(c, networks.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, Classify("Networks", "", err)
	}
	var all []struct {
		networks.Network
		external.NetworkExternalExt
	}
	if err := networks.ExtractNetworksInto(pages, &all); err != nil {
		return nil, Classify("Networks", "", err)
	}
	var out []Network
	for _, n := range all {
		out = append(out, Network{ID: n.ID, Name: n.Name, External: n.External, Shared: n.Shared})
	}
	return out, nil
}

// listGroups asks for this project's groups alone: an administrator would get those of all
// projects.
func (s *Session) listGroups(ctx context.Context) (out []provider.Named, err error) {
	c, err := s.Network(ctx)
	if err != nil {
		return nil, err
	}
	project, _, err := s.Project(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := groups.List(c, groups.ListOpts{ProjectID: project}).AllPages(ctx)
	if err != nil {
		return nil, Classify("SecurityGroups", "", err)
	}
	all, err := groups.ExtractGroups(pages)
	for _, g := range all {
		out = append(out, provider.Named{ID: g.ID, Name: g.Name})
	}
	return out, Classify("SecurityGroups", "", err)
}

// listZones returns the available zones by name. A zone's id is its name.
func (s *Session) listZones(ctx context.Context) (out []provider.Named, err error) {
	c, err := s.Compute(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := availabilityzones.List(c).AllPages(ctx)
	if err != nil {
		return nil, Classify("Zones", "", err)
	}
	all, err := availabilityzones.ExtractAvailabilityZones(pages)
	for _, z := range all {
		if z.ZoneState.Available {
			out = append(out, provider.Named{ID: z.ZoneName, Name: z.ZoneName})
		}
	}
	slices.SortFunc(out, func(a, b provider.Named) int { return strings.Compare(a.Name, b.Name) })
	return out, Classify("Zones", "", err)
}

func (s *Session) listServerGroups(ctx context.Context) (out []provider.Named, err error) {
	c, err := s.Compute(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := servergroups.List(c, servergroups.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, Classify("ServerGroups", "", err)
	}
	all, err := servergroups.ExtractServerGroups(pages)
	for _, g := range all {
		out = append(out, provider.Named{ID: g.ID, Name: g.Name})
	}
	return out, Classify("ServerGroups", "", err)
}

// Forget makes all lists be fetched again.
func (c *Catalog) Forget() {
	c.flavors.drop()
	c.images.drop()
	c.networks.drop()
	c.groups.drop()
	c.zones.drop()
	c.sgroups.drop()
}
