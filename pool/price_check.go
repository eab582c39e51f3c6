package pool

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
)

// checkPrice returns an error if a request's price is below that of all instances its source could
// give it, or if no price is known.
func (p *records) checkPrice(ctx context.Context, s *Source, req compute.Request) error {
	switch {
	case req.MaxPrice == 0:
		return nil
	case !(req.MaxPrice > 0):
		return &compute.Error{
			ID: compute.ID(s.Name), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("a price of %v for an hour: it must be more than nothing", req.MaxPrice),
		}
	}
	least := 0.0
	for _, c := range s.All() {
		if c.Type == allocate.PoolType {
			continue
		}
		if _, _, err := p.providers.record(ctx, c); err != nil { // which opens its provider
			return err
		}
		if p.view(nil).Affords(c, req.MaxPrice) {
			return nil
		}
		if c.Price > 0 && (least == 0 || c.Price < least) {
			least = c.Price
		}
	}
	if least > 0 {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity, Hint: "ask for a higher price, or another source",
			Err: &allocate.TooSmallError{
				Why: fmt.Sprintf("an instance costs %v for an hour, and at most %v is asked for", least, req.MaxPrice),
			}}
	}
	return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrInvalid,
		Err:  errors.New("nobody knows what an instance costs, so none can be had for at most a price"),
		Hint: "`price` in its source.conf is what one costs for an hour"}
}
