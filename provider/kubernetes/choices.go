package kubernetes

import (
	"context"
	"fmt"

	"github.com/hostler-project/hostler/compute"
)

// Choices says that any image and zone may be tried: what a registry has nobody lists, and zones
// may be asked for by whoever may see nodes, which we need not. Of sandboxes of a warm pool, which
// are all alike, there is nothing to choose.
func (p *Provider) Choices(_ context.Context, kind string) (all []compute.Named, open bool, err error) {
	if p.gvr == claims || kind != compute.Images && kind != compute.Locations {
		return nil, false, &compute.Error{
			Op: "kubernetes.Choices", Kind: compute.ErrInvalid, Err: fmt.Errorf("there are no %s to choose from", kind),
		}
	}
	return nil, true, nil
}
