package ironic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/provider/openstack"
)

// ScoutOptions say what of a cloud counts.
type ScoutOptions struct {
	Session      *openstack.Session
	Installation string      // ours: the cached nodes of others are not to be had
	Images       []ImageRule // an image counts that one of them picks; none: all images
	// none: each resource class is a flavor, and its nodes are hot standbys
	Flavors []FlavorRule
	// whose instances hot standbys become: on one that was told other things than it tells now
	// counts as an image that nobody knows; nil: what they were told does not count
	For *Provider
}

// Scout says which nodes, images and flavors there are. It may be used from many goroutines.
type Scout struct {
	a            *api
	installation string
	images       []imageRule
	flavors      []flavorRule
	fields       string // that are read of nodes
	source       *Provider
}

var _ metal.Scout = (*Scout)(nil)

// NewScout makes a scout. It asks nobody yet. ErrInvalid: a rule is wrong, and says which.
func NewScout(o ScoutOptions) (*Scout, error) {
	s := &Scout{installation: o.Installation, source: o.For}
	fail := func(text string, args ...any) (*Scout, error) {
		return nil, &compute.Error{Op: "ironic.NewScout", Kind: compute.ErrInvalid, Err: fmt.Errorf(text, args...)}
	}
	if o.Session == nil || o.Installation == "" {
		return fail("a scout needs a session, and an installation an id")
	}
	s.a = newAPI(o.Session)
	if len(o.Images) == 0 {
		o.Images = []ImageRule{{}}
	}
	for n, r := range o.Images {
		c, err := r.compile()
		if err != nil {
			return fail("image rule %d: %w", n+1, err)
		}
		s.images = append(s.images, c)
	}
	var err error
	if s.flavors, err = compileFlavors(o.Flavors); err != nil {
		return fail("%w", err)
	}
	s.fields = read(s.flavors)
	return s, nil
}

// read are the fields of nodes that a scout with such rules reads: an Ironic with many nodes takes
// long to tell of what nobody looks at, and so does reading it.
func read(rules []flavorRule) string {
	unread := map[string]bool{"target_provision_state": true, "power_state": true, "properties": true, "traits": true, "shard": true}
	for i := range rules {
		r := &rules[i]
		for field, looks := range map[string]bool{
			"properties": len(r.props)+len(r.caps) > 0, "traits": len(r.Traits) > 0, "shard": r.Shard != "",
		} {
			if looks {
				delete(unread, field)
			}
		}
	}
	var out []string
	for _, f := range fields {
		if !unread[f.name] {
			out = append(out, f.name)
		}
	}
	return strings.Join(out, ",")
}

func compileFlavors(rules []FlavorRule) (out []flavorRule, err error) {
	for n, r := range rules {
		c, err := r.compile()
		if err != nil {
			return nil, fmt.Errorf("flavor %s: %w", cmp.Or(r.Name, fmt.Sprint(n+1)), err)
		}
		if slices.ContainsFunc(out, func(f flavorRule) bool { return f.Name == r.Name }) {
			return nil, fmt.Errorf("flavor %s is there twice", r.Name)
		}
		out = append(out, c)
	}
	return out, nil
}

// Nodes implements metal.Scout.
func (s *Scout) Nodes(ctx context.Context) ([]metal.Node, error) {
	words := ""
	if s.source != nil {
		var err error
		if words, err = s.source.told(); err != nil {
			return nil, err
		}
	}
	return list(ctx, s.a, "Nodes", url.Values{"fields": {s.fields}}, func(r *record) (metal.Node, bool) {
		n := s.node(r)
		if m := r.Extra.Mark; s.source != nil && n.Cached && !n.Provisioned && m != nil && m.State == cached &&
			m.Way.standby() && !s.source.fits(m, words) {
			n.Image = ""
		}
		return n, true
	})
}

// Images implements metal.Scout. Images whose state is not active do not count.
func (s *Scout) Images(ctx context.Context) ([]metal.Image, error) {
	c, err := s.a.s.Images(ctx)
	if err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ {
		all, err := allImages(ctx, c)
		if err == nil {
			return pickImages(s.images, all), nil
		}
		err = openstack.Classify("Images", "", err)
		if r := openstack.ReasonOf(err); tries == 3 || r != openstack.Down && r != openstack.Unknown || ctx.Err() != nil {
			return nil, err
		}
		if err := sleep(ctx, s.a.pause); err != nil {
			return nil, openstack.Classify("Images", "", err)
		}
	}
}

// allImages reads the list page by page. Pages that do not come to an end are an error.
func allImages(ctx context.Context, c *gophercloud.ServiceClient) (all []images.Image, err error) {
	seen := map[string]bool{}
	err = images.List(
		c, images.ListOpts{Status: images.ImageStatusActive, Limit: 500},
	).EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		some, err := images.ExtractImages(page)
		if err != nil {
			return false, err
		}
		before := len(seen)
		for i := range some {
			if !seen[some[i].ID] {
				seen[some[i].ID] = true
				all = append(all, some[i])
			}
		}
		if len(some) > 0 && len(seen) == before {
			return false, errors.New("the pages of the list of images do not come to an end")
		}
		return true, nil
	})
	return all, err
}

// Flavors implements metal.Scout.
func (s *Scout) Flavors(ctx context.Context) ([]string, error) {
	var out []string
	for _, f := range s.flavors {
		out = append(out, f.Name)
	}
	if len(out) > 0 {
		return out, nil
	}
	all, err := list(
		ctx, s.a, "Flavors", url.Values{"fields": {"uuid,resource_class"}},
		func(r *record) (string, bool) { return r.Class, r.Class != "" },
	)
	if err != nil {
		return nil, err
	}
	set := map[string]bool{}
	for _, class := range all {
		set[class] = true
	}
	return slices.Sorted(maps.Keys(set)), nil
}

// flavorOf is the flavor that a node is of, and its rule; "": none.
func flavorOf(rules []flavorRule, r *record) (string, *flavorRule) {
	for i := range rules {
		if f := &rules[i]; r.Extra.Flavor == f.Name || r.Extra.Flavor == "" && f.has(r) {
			return f.Name, f
		}
	}
	if len(rules) == 0 {
		return cmp.Or(r.Extra.Flavor, r.Class), nil
	}
	return r.Extra.Flavor, nil
}

// node is what a record means to those who decide.
func (s *Scout) node(r *record) metal.Node {
	n := metal.Node{ID: r.UUID, Name: r.Name, BMC: r.bmc(), Rack: r.Extra.Rack, Conductor: cmp.Or(r.Conductor, r.Group), Since: r.since()}
	n.Flavor, _ = flavorOf(s.flavors, r)
	m := r.Extra.Mark
	if m != nil {
		n.Writes = m.Attempt
	}
	switch {
	case (m == nil || m.Way == "") && r.barred() == "" && cacheHolds(s.installation, r):
		// claimed, and then nothing was heard of it
		n.Cached, n.Failed = true, "it was claimed for the cache, and nothing was written"
	case r.halfWiped(s.installation) && r.barred() == "":
		n.Cached, n.Failed = true, leftManageable
	case m == nil || m.Way == "" && m.Instance == "": // no mark of ours
		n.Why = r.taken()
		n.Image = r.Driver.CacheImage
		n.Cached = r.Driver.CacheStatus != "" && r.Driver.CacheStatus != failed
		n.Writing = n.Cached && r.Driver.CacheStatus == caching
		n.Used = r.Instance != "" || r.state() == stateActive
	case m.Instance != "" && r.Instance != "":
		n.Image, n.Used, n.Why = m.Image, true, "instance "+m.Instance
	case m.Instance != "": // it was one
		n.Why = r.taken()
		n.Wiping = r.ending()
	case m.Installation != s.installation:
		if n.Why = r.taken(); n.Why == "" && r.others(s.installation) {
			n.Why = "another installation has an image on it"
		}
	default:
		n.Why = s.marked(&n, r, m)
	}
	n.Provisioned = n.Why != ""
	return n
}

const leftManageable = "it was left manageable"

// marked reads a node that we have written, or begun to write. It returns why it is not to be had.
func (s *Scout) marked(n *metal.Node, r *record, m *mark) (why string) {
	state := r.state()
	wiped := func() string {
		n.Image, n.Cached = "", false
		if m.State == failed {
			n.Failed = "the last image that was to be written was not"
		}
		return r.taken()
	}
	n.Image, n.Cached = m.Image, true
	switch {
	case r.barred() != "":
		return r.barred()
	case state == "deleting" || r.ending() && m.State != caching:
		n.Image, n.Cached, n.Wiping = "", false, true
		return state
	case r.Instance != "" && !cacheHolds(s.installation, r):
		n.Used = true
		return "claimed for instance " + r.Instance
	case r.broken():
		n.Image, n.Failed = "", r.failure()
	case state == stateAvailable && r.Instance == "" && (m.State == failed || m.Way.standby()):
		return wiped()
	case state == stateAvailable && r.Instance == "" && r.Retired:
		return "retired"
	case m.State == caching:
		n.Writing = true
	case m.Way.standby() && state == stateActive && m.State == "":
		n.Image, n.Failed = "", "it was to be wiped, and that was not begun"
	case m.Way.standby() && state == stateActive, state == stateAvailable: // it is there
	case state == stateManageable:
		n.Image, n.Failed = "", leftManageable
	default:
		return state
	}
	return ""
}

// cacheHolds tells that the claim on a node is the cache's own.
func cacheHolds(installation string, r *record) bool {
	return r.Instance != "" && r.Instance == standbyClaim(installation, r.UUID)
}
