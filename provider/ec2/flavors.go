package ec2

import (
	"context"

	"github.com/hostler-project/hostler/provider/flavor"
)

// Flavors returns the instance types of the region, with the configured prices. The list may be
// half an hour old. fresh reads it again.
func (p *Provider) Flavors(ctx context.Context, fresh bool) (*flavor.Table, error) {
	all, err := p.types.all(ctx, fresh)
	if err != nil {
		return nil, err
	}
	var out []flavor.Flavor
	for _, s := range all {
		out = append(out, s.Flavor)
	}
	return flavor.New(out), nil
}

// Prices reports whether prices are configured, or spot instances are made, whose price a request
// can limit.
func (p *Provider) Prices() bool { return len(p.o.onDemand) > 0 || p.o.Spot != "no" }
