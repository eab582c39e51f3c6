package sandbox

import (
	"context"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Choices reports that any image may be tried. It has no list.
func (p *Provider) Choices(_ context.Context, kind string) (all []provider.Named, open bool, err error) {
	if kind != provider.Images {
		return nil, false, &compute.Error{
			Op: "sandbox.choices", Kind: compute.ErrInvalid, Err: fmt.Errorf("there are no %s to choose from", kind),
		}
	}
	return nil, true, nil
}
