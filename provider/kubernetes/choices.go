package kubernetes

import (
	"context"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Choices says that any image and zone may be tried. Registries list no images, and listing zones
// needs a right that we do without. The sandboxes of a warm pool are all alike, so there is no
// choice.
func (p *Provider) Choices(_ context.Context, kind string) (all []provider.Named, open bool, err error) {
	if p.gvr == claims || kind != provider.Images && kind != provider.Locations {
		return nil, false, &compute.Error{
			Op: "kubernetes.Choices", Kind: compute.ErrInvalid, Err: fmt.Errorf("there are no %s to choose from", kind),
		}
	}
	return nil, true, nil
}
