package kubernetes

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Step has a provider tell of each step before it is done; an error ends the call as a kill would.
func (p *Provider) Step(f func(string) error) { p.step = f }

// DestroyAfter is Destroy when so much more time has passed.
func (p *Provider) DestroyAfter(ctx context.Context, id compute.ID, d time.Duration) error {
	return p.fault("Destroy", id, p.destroy(ctx, id, time.Now().Add(d)))
}
