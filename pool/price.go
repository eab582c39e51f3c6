package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/hostler-project/hostler/compute"
)

// checkPrice returns an error if a request's price is below that of all instances its source could
// give it, or if no price is known.
func (p *Pool) checkPrice(ctx context.Context, s *source, req compute.Request) error {
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
	for _, c := range s.all() {
		if c.Type == poolType {
			continue
		}
		if _, _, err := p.record(ctx, c); err != nil { // which opens its provider
			return err
		}
		if p.affords(c, req.MaxPrice) {
			return nil
		}
		if c.Price > 0 && (least == 0 || c.Price < least) {
			least = c.Price
		}
	}
	if least > 0 {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity, Hint: "ask for a higher price, or another source",
			Err: &errSmall{fmt.Sprintf("an instance costs %v for an hour, and at most %v is asked for", least, req.MaxPrice)}}
	}
	return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrInvalid,
		Err:  errors.New("nobody knows what an instance costs, so none can be had for at most a price"),
		Hint: "`price` in its source.conf is what one costs for an hour"}
}

// affords reports whether a source may make an instance for at most a price; 0: any. A provider
// that knows prices keeps to the limit itself.
func (p *Pool) affords(s *source, most float64) bool {
	if most == 0 || s.Type == poolType {
		return true
	}
	if o := p.ready(p.keyOf(s)); o != nil && o.provider != nil {
		if priced, ok := compute.As[compute.Pricer](o.provider); ok && priced.Prices() {
			return true
		}
	}
	return s.Price > 0 && s.Price <= most
}

// dear reports whether a ready instance, or the real one behind it, costs more than most (0: no
// limit), as far as is known: by its own fact, or else by its source.
func (d *draw) dear(i *compute.Instance, most float64) (bool, error) {
	if most == 0 {
		return false, nil
	}
	for i.Child != "" {
		child, err := d.tx.Instance(i.Child)
		if errors.Is(err, compute.ErrNotFound) {
			return true, nil
		} else if err != nil {
			return false, err
		}
		i = child
	}
	price, err := strconv.ParseFloat(i.Facts[compute.FactPrice], 64)
	if err != nil || !(price > 0) || math.IsInf(price, 0) {
		price = 0
		if s := d.p.sources[i.Source]; s != nil {
			price = s.Price
		}
	}
	return price == 0 || price > most, nil
}
