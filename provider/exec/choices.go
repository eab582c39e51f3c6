package exec

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Choices says that any image and flavor may be tried. Only the executable knows them.
func (p *Provider) Choices(_ context.Context, kind string) (all []provider.Named, open bool, err error) {
	if kind == provider.Locations {
		return nil, false, &compute.Error{
			Op: p.o.Type + ".choices", ID: compute.ID(p.o.Source), Kind: compute.ErrInvalid,
			Err: errors.New("its protocol has no locations"),
		}
	}
	return nil, true, nil
}
