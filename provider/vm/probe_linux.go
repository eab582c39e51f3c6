package vm

import (
	"context"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm/qcow"
)

// Probe checks that qemu and the files that machines are made from are there.
func (p *Provider) Probe(_ context.Context, spec compute.Spec) (note string, err error) {
	if err := p.place(); err != nil {
		return "", err
	}
	if _, err := p.qemu(); err != nil {
		return "", err
	}
	for key, path := range map[string]string{"kernel": p.o.Kernel, "initrd": p.o.Initrd, "seed": p.o.Seed} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return "", imageError(key, path, err)
		}
	}
	image := p.images.imageName(spec.Image)
	if image == "" {
		return "no image is set: each request has to name one", nil
	}
	if !filepath.IsAbs(image) {
		return "", nil // Create pulls it
	}
	if _, err := qcow.Inspect(image); err != nil {
		return "", imageError("image", image, err)
	}
	return "", nil
}
