package ec2

import (
	"context"

	"github.com/hostler-project/hostler/provider/flavor"
)

// Flavors are the instance types that there are in the region, with the prices that are configured.
// The list may be half an hour old; fresh asks again.
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

// Prices reports whether prices are configured, or what it makes is for spot, where a request says
// what it may cost.
func (p *Provider) Prices() bool { return len(p.o.onDemand) > 0 || p.o.Spot != "no" }
