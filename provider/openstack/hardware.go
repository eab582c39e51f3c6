package openstack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// named returns the flavor that the request or the source names. "": it is chosen.
func (p *Provider) named(spec compute.Spec) string {
	if spec.Flavor != "" {
		return spec.Flavor
	}
	return p.o.Flavor
}

// chooses reports whether there are several classes of hardware to choose from.
func (p *Provider) chooses(spec compute.Spec) bool { return p.named(spec) == "" && len(p.sets) > 1 }

// flavor returns the named flavor, else the cheapest that is large enough. With flavor sets it is
// the first that has not failed lately for lack of hardware.
func (p *Provider) flavor(ctx context.Context, spec compute.Spec, image images.Image) (flavor.Flavor, error) {
	cat := p.s.Catalog()
	want := flavor.NeedOf(spec, p.o.FlavorRegex)
	if name := p.named(spec); name != "" {
		f, err := cat.Flavor(ctx, name)
		if err == nil && (f.Cores < want.Cores || f.RAM < want.RAM || f.GPUs < want.GPUs || f.RAM < image.MinRAMMegabytes) {
			err = &compute.Error{
				Op: "openstack.Create", ID: spec.ID, Kind: compute.ErrTooLarge,
				Err: fmt.Errorf(
					"flavor %s is too small: wanted are %s, and the image needs %d MB of memory", f, want,
					image.MinRAMMegabytes,
				),
			}
		}
		return f, err
	}
	const mib = 1 << 20
	want.Cores, want.RAM = max(want.Cores, p.o.Cores), max(want.RAM, int((p.o.Memory+mib-1)/mib), image.MinRAMMegabytes)
	return known(ctx, cat.flavors, func(t *flavor.Table) (flavor.Flavor, error) {
		if len(p.sets) == 0 {
			return t.Cheapest(want)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		// the exact values, as the texts for users are rounded
		kind := fmt.Sprintf("%d %d %d %s", want.Cores, want.RAM, want.GPUs, want.Regex)
		for {
			f, ok, err := p.hardware.Pick(
				kind, time.Now(),
				func() ([]flavor.Flavor, error) { return t.Choose(want, p.sets, flavor.Order(p.o.FlavorOrder)) },
			)
			if err == nil && !ok {
				err = &compute.Error{
					Op: "openstack.Create", ID: spec.ID, Kind: compute.ErrTooLarge,
					Err: fmt.Errorf("%w: %s, of one of the flavor-sets", flavor.ErrNone, want),
				}
			}
			if err != nil {
				return flavor.Flavor{}, err
			}
			if now, err := t.Get(f.ID); err == nil && now == f {
				return f, nil
			}
			// it was picked a while ago; the cloud has removed or replaced it
			p.hardware.Drop(f.ID)
		}
	})
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
			if err := p.broken(ctx, s, id); ReasonOf(err) == NoHardware && errors.As(err, &f) {
				return f, nil
			}
			return nil, nil // Connect will tell it
		case s.Status != "BUILD" || s.TaskState != "scheduling":
			if name, ok := s.Flavor["id"].(string); ok {
				p.mu.Lock()
				p.hardware.Succeed(name)
				p.mu.Unlock()
			}
			return nil, nil
		case time.Now().After(end):
			return nil, nil
		}
		if err := sleep(ctx, p.tick()); err != nil {
			return nil, err
		}
		if v, err = p.servers.recent(ctx, p.tick()/2); err != nil {
			return nil, err
		}
	}
}

// lacking notes, once for each server, that its flavor had no hardware.
func (p *Provider) lacking(s servers.Server, id compute.ID) {
	name, ok := s.Flavor["id"].(string)
	p.see(id, func(k *sighting) { ok, k.lacking = ok && k.lacking != s.ID, s.ID })
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hardware.Fail(name, time.Now())
}

// vacate deletes the servers of a name and waits until they are gone. What was made for them stays
// for the next one.
func (p *Provider) vacate(ctx context.Context, id compute.ID) error {
	for end := time.Now().Add(time.Minute); ; {
		v, err := p.servers.fresh(ctx)
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
			if err := p.deleteServer(ctx, s); err != nil {
				return err
			}
		}
		if err := sleep(ctx, p.o.Poll); err != nil {
			return err
		}
	}
}

// lack is a flavor for which no host had room, and the cloud's words.
type lack struct {
	flavor flavor.Flavor
	fault  *Fault
}

// shortage is all flavors that were tried for one server.
type shortage []lack

func (s shortage) has(f flavor.Flavor) bool {
	return slices.ContainsFunc(s, func(l lack) bool { return l.flavor.ID == f.ID })
}

func (s shortage) error(id compute.ID) error {
	last := s[len(s)-1].fault
	all := *last
	if len(s) > 1 {
		var words []string
		for _, l := range s {
			words = append(words, l.flavor.Name+": "+l.fault.Error())
		}
		all = Fault{Reason: NoHardware, Message: fmt.Sprintf("%d flavors were tried: %s", len(s), strings.Join(words, "; "))}
	}
	return &compute.Error{Op: "openstack.Create", ID: id, Kind: compute.ErrNoCapacity, Err: &all, Hint: all.hint()}
}
