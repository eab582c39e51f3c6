package openstack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// hardware chooses flavors.
type hardware struct {
	o    *Options
	s    *Session
	sets [][]string // classes of hardware, each of regular expressions

	mu     sync.Mutex
	memory flavor.Memory // the flavors without hardware lately
}

// failed notes that no host had room for a flavor.
func (h *hardware) failed(flavor string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.memory.Fail(flavor, time.Now())
}

// succeeded notes that a host had room for a flavor.
func (h *hardware) succeeded(flavor string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.memory.Succeed(flavor)
}

// named returns the flavor that the request or the source names. "": it is chosen.
func (h *hardware) named(spec compute.Spec) string {
	if spec.Flavor != "" {
		return spec.Flavor
	}
	return h.o.Flavor
}

// chooses reports whether there are several classes of hardware to choose from.
func (h *hardware) chooses(spec compute.Spec) bool { return h.named(spec) == "" && len(h.sets) > 1 }

// flavor returns the named flavor, else the cheapest that is large enough. With flavor sets it is
// the first that has not failed lately for lack of hardware.
func (h *hardware) flavor(ctx context.Context, spec compute.Spec, image images.Image) (flavor.Flavor, error) {
	cat := h.s.Catalog()
	want := flavor.NeedOf(spec, h.o.FlavorRegex)
	if name := h.named(spec); name != "" {
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
	want.Cores, want.RAM = max(want.Cores, h.o.Cores), max(want.RAM, int((h.o.Memory+mib-1)/mib), image.MinRAMMegabytes)
	return known(ctx, cat.flavors, func(t *flavor.Table) (flavor.Flavor, error) {
		if len(h.sets) == 0 {
			return t.Cheapest(want)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		// the exact values, as the texts for users are rounded
		kind := fmt.Sprintf("%d %d %d %s", want.Cores, want.RAM, want.GPUs, want.Regex)
		for {
			f, ok, err := h.memory.Pick(
				kind, time.Now(),
				func() ([]flavor.Flavor, error) { return t.Choose(want, h.sets, flavor.Order(h.o.FlavorOrder)) },
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
			h.memory.Drop(f.ID)
		}
	})
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

// error returns one ErrNoCapacity for all tries. A single try keeps the cloud's words as they
// are.
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
