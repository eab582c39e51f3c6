package container

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

var _ provider.Prober = (*Provider)(nil)

// Probe asks the engine for the image, and checks that the directories to mount exist.
func (p *Provider) Probe(ctx context.Context, spec compute.Spec) (note string, err error) {
	fail := func(kind, err error, hint string) (string, error) {
		return "", p.fault("Probe", compute.ID(p.o.Source), &compute.Error{Kind: kind, Err: err, Hint: hint})
	}
	if err := p.eng.meet(ctx); err != nil {
		return "", p.fault("Probe", compute.ID(p.o.Source), err)
	}
	for _, m := range p.plan.mounts {
		if _, err := os.Stat(m.Source); m.Type == "bind" && filepath.IsAbs(m.Source) && os.IsNotExist(err) {
			return fail(compute.ErrInvalid, fmt.Errorf("mounts: %w", err), "")
		}
	}
	image := cmp.Or(spec.Image, p.o.Image)
	if image == "" {
		return "no image is set: each request has to name one", nil
	}
	_, err = p.images.inspectImage(ctx, image)
	switch {
	case status(err) == http.StatusNotFound && p.o.Pull == "never":
		return fail(
			compute.ErrNotFound, fmt.Errorf("image %s is not at the engine, and pull = never", image),
			p.images.meant(ctx, image, "pull or build it there, or leave pull out"),
		)
	case status(err) == http.StatusNotFound:
		return "the image " + image + " is not pulled yet", nil
	}
	return "", p.fault("Probe", compute.ID(p.o.Source), err)
}
