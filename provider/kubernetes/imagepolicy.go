package kubernetes

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/policy/fetch"
)

// checkImagePolicy decides whether nodes may pull an image that a request names. A registry whose
// name does not resolve here may be one of the cluster's own network, with an unknown address.
func (p *Provider) checkImagePolicy(ctx context.Context, image string) error {
	if image == "" {
		return nil
	}
	if err := p.o.Others.Check(ctx, image); err != nil && !errors.As(err, new(*fetch.Unknown)) {
		return err
	}
	return nil
}
