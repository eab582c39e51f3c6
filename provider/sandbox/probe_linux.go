package sandbox

import (
	"cmp"
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider"
)

var _ provider.Prober = (*Provider)(nil)

// Probe checks that the image and the shared directories are there.
func (p *Provider) Probe(_ context.Context, spec compute.Spec) (note string, err error) {
	fail := func(err error) (string, error) { return "", fault("Probe", compute.ID(p.o.Source), err) }
	for _, s := range p.shares {
		if _, err := s.real(p.o.State, p.root); err != nil {
			return fail(err)
		}
	}
	name := image.InHome(cmp.Or(spec.Image, p.o.Image, hostImage), p.o.Home)
	if _, ok := HostRoot(name); ok {
		return "", nil
	}
	store, err := p.images.store()
	if err != nil {
		return fail(err)
	}
	here, err := store.Probe(name)
	if err == nil && !here {
		note = "the image " + name + " is not pulled yet"
	}
	return note, err
}
