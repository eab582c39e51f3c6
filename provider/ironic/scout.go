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

// ScoutOptions say which nodes and images of a cloud count.
type ScoutOptions struct {
	Session      *openstack.Session
	Installation string      // ours: the cached nodes of others cannot be taken
	Images       []ImageRule // the images that one of them selects count; none: all images
	// none: each resource class is a flavor, and its nodes are hot standbys
	Flavors []FlavorRule
	// the provider whose instances hot standbys become. The image of a standby that was told other
	// things counts as unknown. nil: what standbys were told does not count.
	For *Provider
}

// Scout lists nodes, images and flavors. Any number of goroutines may use it.
type Scout struct {
	a            *api
	installation string
	images       []imageRule
	flavors      []flavorRule
	fields       string // the fields of nodes that are read
	source       *Provider
}

var _ metal.Scout = (*Scout)(nil)

// NewScout makes a scout. It calls nothing. ErrInvalid: a rule is wrong, and the error names it.
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

// read returns the fields of nodes that the rules need. With many nodes, every further field takes
// Ironic and us much time.
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

// compileFlavors compiles the rules. Its error names the wrong one.
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
		if words, err = s.source.bootConfigDigest(); err != nil {
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

// Images implements metal.Scout. Only images with the state active count.
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

// allImages reads the list page by page. It is an error if the pages never end.
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

// flavorOf returns a node's flavor and the rule for it. "": none.
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

// node converts a record for the director.
func (s *Scout) node(r *record) metal.Node {
	n := metal.Node{ID: r.UUID, Name: r.Name, BMC: r.bmc(), Rack: r.Extra.Rack, Conductor: cmp.Or(r.Conductor, r.Group), Since: r.since()}
	n.Flavor, _ = flavorOf(s.flavors, r)
	m := r.Extra.Mark
	if m != nil {
		n.Writes = m.Attempt
	}
	switch {
	case (m == nil || m.Way == "") && r.blockedReason() == "" && heldByCache(s.installation, r):
		// it was claimed, and nothing else is known
		n.Cached, n.Failed = true, "it was claimed for the cache, and nothing was written"
	case r.wipeInterrupted(s.installation) && r.blockedReason() == "":
		n.Cached, n.Failed = true, leftManageable
	case m == nil || m.Way == "" && m.Instance == "": // no mark of ours
		n.Why = r.unavailableReason()
		n.Image = r.Driver.CacheImage
		n.Cached = r.Driver.CacheStatus != "" && r.Driver.CacheStatus != failed
		n.Writing = n.Cached && r.Driver.CacheStatus == caching
		n.Used = r.Instance != "" || r.state() == stateActive
	case m.Instance != "" && r.Instance != "":
		n.Image, n.Used, n.Why = m.Image, true, "instance "+m.Instance
	case m.Instance != "": // it was an instance
		n.Why = r.unavailableReason()
		n.Wiping = r.ending()
	case m.Installation != s.installation:
		if n.Why = r.unavailableReason(); n.Why == "" && r.otherInstallation(s.installation) {
			n.Why = "another installation has an image on it"
		}
	default:
		n.Why = s.marked(&n, r, m)
	}
	n.Provisioned = n.Why != ""
	return n
}

const leftManageable = "it was left manageable"

// marked reads a node that we have written, or begun to write. why says why it cannot be taken.
func (s *Scout) marked(n *metal.Node, r *record, m *mark) (why string) {
	state := r.state()
	wiped := func() string {
		n.Image, n.Cached = "", false
		if m.State == failed {
			n.Failed = "the last image that was to be written was not"
		}
		return r.unavailableReason()
	}
	n.Image, n.Cached = m.Image, true
	switch {
	case r.blockedReason() != "":
		return r.blockedReason()
	case state == stateDeleting || r.ending() && m.State != caching:
		n.Image, n.Cached, n.Wiping = "", false, true
		return state
	case r.Instance != "" && !heldByCache(s.installation, r):
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
	case m.Way.standby() && state == stateActive, state == stateAvailable: // the image is there
	case state == stateManageable:
		n.Image, n.Failed = "", leftManageable
	default:
		return state
	}
	return ""
}
