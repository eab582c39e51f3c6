package chroot

import (
	"context"
	"errors"
	"os"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

var _ provider.Prober = (*Provider)(nil)

// Probe checks the base. An image is pulled when it is needed.
func (p *Provider) Probe(_ context.Context, spec compute.Spec) (note string, err error) {
	if p.imageName(spec.Image) != "" {
		return "", nil
	}
	_, err = p.baseInfo()
	return "", fault("Probe", compute.ID(p.o.Source), err)
}

// baseInfo returns what the base is, or why it cannot be one.
func (p *Provider) baseInfo() (os.FileInfo, error) {
	fi, err := os.Stat(p.o.Base)
	if err != nil {
		return nil, baseError(p.o.Base, err)
	}
	if !fi.IsDir() && !fi.Mode().IsRegular() {
		return nil, baseError(p.o.Base, errors.New("neither a directory nor a file"))
	}
	return fi, trustBase(p.o.Base)
}
