package kubernetes

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/policy/fetch"
)

// judge says whether the nodes may be told to pull an image that a request names. A registry whose
// name leads nowhere from here may be one of the cluster's own network: what the name is there is
// not known.
func (p *Provider) judge(ctx context.Context, image string) error {
	if image == "" {
		return nil
	}
	if err := p.o.Others.Check(ctx, image); err != nil && !errors.As(err, new(*fetch.Unknown)) {
		return err
	}
	return nil
}
