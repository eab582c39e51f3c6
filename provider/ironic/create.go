package ironic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack/login"
)

var plainName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,200}$`) })

// Create takes a node for an instance. It prefers a node that has the image already (a hit). Next
// is a free node, to which the image is deployed (a miss). Last is a node that is ready with
// another image, to which this one is deployed. It continues a Create that was begun, and returns
// an existing instance.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (none compute.Instance, err error) {
	fail := func(err error) (compute.Instance, error) { return none, provider.Unasked(err) }
	if !plainName().MatchString(string(spec.ID)) {
		return fail(&compute.Error{
			Op: "ironic.Create", ID: spec.ID, Kind: compute.ErrInvalid, Err: errors.New("not a name for an instance"),
		})
	}
	name := cmp.Or(spec.Image, p.o.Image)
	if name == "" {
		return fail(&compute.Error{
			Op: "ironic.Create", ID: spec.ID, Kind: compute.ErrInvalid, Err: errors.New("no image is named"),
			Hint: "set image to the id or name of one, or to what its name begins with",
		})
	}
	image, err := p.a.s.Catalog().Image(ctx, name, false)
	if err != nil {
		return fail(err)
	}
	own, err := p.UserData()
	if err != nil {
		return fail(err)
	}
	p.chosen.Lock()
	defer p.chosen.Unlock()
	switch r, err := p.find(ctx, "Create", spec.ID); {
	case err == nil:
		if r.state() == stateAvailable { // it was claimed, and nothing else is known
			return p.deploy(ctx, r, spec, r.Extra.Mark, own, "active")
		}
		return p.instance(r), nil
	case !errors.Is(err, compute.ErrNotFound):
		return fail(err)
	}
	q := url.Values{}
	if p.o.Class != "" {
		q.Set("resource_class", p.o.Class)
	}
	all, err := p.nodes(ctx, "Create", q, func(r *record) bool { return p.mine(r) != "" || p.rule.has(r) && p.large(r, spec) })
	if err != nil {
		return fail(err)
	}
	words, err := p.bootConfigDigest()
	if err != nil {
		return fail(err)
	}
	var short error
	for _, o := range p.offers(all, image.ID, words, len(spec.UserData) > 0) {
		m := &mark{
			Image: image.ID, ImageName: image.Name, Since: time.Now().UTC().Truncate(time.Second), Attempt: 1,
			Installation: p.o.Installation, Source: p.o.Source, Instance: string(spec.ID),
			User: cmp.Or(p.o.User, login.UserOf(image)), Hit: o.hit,
		}
		if old := o.Extra.Mark; old != nil {
			m.Attempt = old.Attempt + 1
			if o.verb == "" {
				m.Attempt, m.Way, m.HostKey, m.State, m.Told = old.Attempt, old.Way, old.HostKey, old.State, old.Told
			}
		}
		in, err := p.take(ctx, o, spec, m, own)
		if err == nil || !errors.Is(err, compute.ErrConflict) {
			return in, err
		}
		p.log.Info("a node was taken by somebody else meanwhile", "instance", spec.ID, "source", p.o.Source, "node", o.label(), "err", err)
		short = err
	}
	if short == nil {
		short = p.none(all, image)
	}
	return none, &compute.Error{
		Op: "ironic.Create", ID: spec.ID, Kind: compute.ErrNoCapacity, Err: short,
		Hint: "wait until a node is given back, or see whether the source's rules name the right nodes",
	}
}

// none returns the error that says why there is no node.
func (p *Provider) none(all []*record, image images.Image) error {
	why := map[string]int{}
	for _, r := range all {
		if p.mine(r) != "" {
			why["in use"]++
			continue
		}
		why[cmp.Or(r.blockedReason(), r.state())]++
	}
	var words []string
	for w, n := range why {
		words = append(words, fmt.Sprintf("%d %s", n, w))
	}
	slices.Sort(words)
	return fmt.Errorf(
		"no node is to be had for image %s: of %d that the source may take %s", image.Name, len(all),
		cmp.Or(strings.Join(words, ", "), "there are none"),
	)
}

// large reports whether a node has what a request asks for, by its properties.
func (p *Provider) large(r *record, spec compute.Spec) bool {
	return r.Properties.number("cpus") >= int64(spec.Cores) && r.Properties.number("memory_mb")<<20 >= spec.Memory &&
		r.Properties.number("local_gb")<<30 >= spec.Disk
}

// offer is a node that may be taken, and how.
type offer struct {
	*record
	rank int    // the lowest is the best
	verb string // active or rebuild; "": the node is taken unchanged
	hit  bool
}

// offers returns the nodes that may be taken, the best first. Among equals, the node that was
// written least comes first. told stands for what the source tells its nodes. more says that the
// request has more to tell, so no running node will do.
func (p *Provider) offers(all []*record, image, told string, more bool) (out []offer) {
	for _, r := range all {
		m := r.Extra.Mark
		ours := m != nil && m.Installation == p.o.Installation && m.Instance == "" && m.State == cached && r.blockedReason() == ""
		standby := ours && m.Way.standby() && r.state() == stateActive &&
			(r.Instance == "" || m.Way == Allocate && heldByCache(p.o.Installation, r))
		switch {
		case standby && m.Image == image && p.fits(m, told) && !more:
			out = append(out, offer{r, 0, "", true})
		case r.unavailableReason() == "" && ours && m.Image == image && (m.Way == Clean || m.Way == Passthru):
			out = append(out, offer{r, 1, "active", true})
		case r.unavailableReason() == "" && ours && m.Image == image && m.Way == Prefetch:
			out = append(out, offer{r, 2, "active", false})
		case r.unavailableReason() == "" && (m == nil || m.Instance != "" || m.Way == "" || m.Way.standby() || m.State == failed):
			out = append(out, offer{r, 3, "active", false})
		case r.unavailableReason() == "" && ours:
			out = append(out, offer{r, 4, "active", false})
		case standby:
			out = append(out, offer{r, 5, "rebuild", false})
		}
	}
	slices.SortStableFunc(out, func(a, b offer) int { return cmp.Or(a.rank-b.rank, writes(a.record)-writes(b.record)) })
	return out
}

func writes(r *record) int {
	if r.Extra.Mark == nil {
		return 0
	}
	return r.Extra.Mark.Attempt
}

// take claims a node for an instance, and has it written or switched on. ErrConflict: another
// process was faster, and nothing is claimed.
func (p *Provider) take(ctx context.Context, o offer, spec compute.Spec, m *mark, own []byte) (none compute.Instance, err error) {
	ops := markOps(o.record, m)
	if o.Instance == "" {
		ops = append(ops, operation{Op: "add", Path: "/instance_uuid", Value: instanceClaim(p.o.Installation, string(spec.ID))})
		if err := p.a.patch(ctx, "Create", o.UUID, ops); err != nil {
			return none, err
		}
	} else { // an allocation stays: the last writer of the mark has the node
		// the list may be old, and the node's owner does not look again
		now, err := p.a.node(ctx, "Create", o.UUID)
		if err != nil {
			return none, err
		}
		if old := now.Extra.Mark; old == nil || old.State != cached || old.Instance != "" ||
			old.Installation != p.o.Installation || now.state() != stateActive || now.blockedReason() != "" {
			return none, conflict("Create", o.label(), "the node is kept ready no more")
		}
		if err := p.a.patchNow(ctx, "Create", o.UUID, ops); err != nil {
			return none, err
		}
		if err := sleep(ctx, 4*p.a.pause); err != nil {
			return none, err
		}
	}
	r, err := p.a.node(ctx, "Create", o.UUID)
	if err != nil {
		return none, err
	}
	if p.mine(r) != spec.ID {
		return none, conflict("Create", o.label(), "somebody else has the node now")
	}
	if o.verb != "" {
		return p.deploy(ctx, r, spec, m, own, o.verb)
	}
	if r.Power != "power on" {
		if err := p.a.power(ctx, "Create", r.UUID, "on"); err != nil {
			return none, err
		}
	}
	return p.instance(r), nil
}

// deploy writes an image to a node that is claimed for an instance.
func (p *Provider) deploy(
	ctx context.Context, r *record, spec compute.Spec, m *mark, own []byte, verb string,
) (none compute.Instance, err error) {
	keys, err := p.keys()
	if err != nil {
		return none, err
	}
	data, public, err := login.FirstBoot(string(spec.ID), p.o.HostKey == "given", own, spec.UserData)
	if err != nil {
		return none, &compute.Error{Op: "ironic.Create", ID: spec.ID, Kind: compute.ErrInvalid, Err: fmt.Errorf("user data: %w", err)}
	}
	marked := *m
	marked.HostKey = public
	r.Extra.Mark = &marked
	if err = p.a.patch(
		ctx, "Create", r.UUID, append(deployOps(m.Image), operation{Op: "add", Path: "/extra/hostler", Value: marked}),
	); err == nil {
		err = p.a.provision(
			ctx, "Create", r.UUID, verb,
			map[string]any{"configdrive": configDrive(string(spec.ID), r.Instance, keys, data)},
		)
	}
	if err == nil {
		return p.instance(r), nil
	}
	if wasRefused(err) && r.state() == stateAvailable {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if lost := p.release(undo, r); lost != nil {
			return none, errors.Join(err, lost)
		}
	}
	return none, err
}

// release gives up a node on which nothing was begun, or that was wiped.
func (p *Provider) release(ctx context.Context, r *record) error {
	ops := []operation{{Op: "replace", Path: "/extra/hostler", Value: mark{Attempt: r.Extra.Mark.Attempt}}}
	if r.Instance != "" {
		ops = append(ops, operation{Op: "remove", Path: "/instance_uuid"})
	}
	return p.a.patch(ctx, "Destroy", r.UUID, ops)
}
