package allocate

import (
	"errors"
	"math"
	"strconv"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Affords reports whether a source may make an instance for at most a price; 0: any. A provider
// that knows prices keeps to the limit itself.
func (v *View) Affords(s *Source, most float64) bool {
	if most == 0 || s.Type == PoolType {
		return true
	}
	if o := v.Provider(v.KeyOf(s)); o != nil && o.Prices {
		return true
	}
	return s.Price > 0 && s.Price <= most
}

// tooExpensive reports whether a ready instance, or the real one behind it, costs more than most
// (0: no limit), as far as is known: by its own fact, or else by its source.
func (k *prospects) tooExpensive(i *compute.Instance, most float64) (bool, error) {
	if most == 0 {
		return false, nil
	}
	for i.Child != "" {
		child, err := k.plan.Instance(i.Child)
		if errors.Is(err, compute.ErrNotFound) {
			return true, nil
		} else if err != nil {
			return false, err
		}
		i = child
	}
	price, err := strconv.ParseFloat(i.Facts[provider.FactPrice], 64)
	if err != nil || !(price > 0) || math.IsInf(price, 0) {
		price = 0
		if s := k.view.ByName[i.Source]; s != nil {
			price = s.Price
		}
	}
	return price == 0 || price > most, nil
}
