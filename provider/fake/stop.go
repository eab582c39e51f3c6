package fake

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

var _ provider.Stopper = (*Provider)(nil)

// Stop stops a computer. Its files stay.
func (p *Provider) Stop(ctx context.Context, id compute.ID, _ time.Duration) error {
	return p.turn(ctx, "stop", id, func(c *computer) { c.Stopped = true })
}

// Start starts a stopped computer, which boots again.
func (p *Provider) Start(ctx context.Context, id compute.ID) error {
	return p.turn(ctx, "start", id, func(c *computer) {
		if c.Stopped {
			c.Stopped, c.Up = false, time.Now().Add(p.o.Boot)
		}
	})
}

// turn makes a change to a computer for Stop and Start, with the failures that were asked for.
func (p *Provider) turn(ctx context.Context, op string, id compute.ID, f func(*computer)) error {
	if err := ctx.Err(); err != nil {
		return fault(op, id, nil, err)
	}
	if err := p.fails(op, id); err != nil {
		return err
	}
	_, err := p.place.change(p.key(id), time.Now(), func(c *computer) bool {
		f(c)
		return true
	})
	return trouble(op, id, err)
}
