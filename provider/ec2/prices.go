package ec2

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// pricesFor is how long spot prices are reused. Amazon changes them several times a day.
const pricesFor = 5 * time.Minute

// mostPriced is how many types are compared for the cheapest.
const mostPriced = 100

// priceList is the spot prices for an hour, at one time.
type priceList struct {
	asked time.Time
	of    []string                      // the types that were asked for
	all   map[string]map[string]float64 // by type and zone
}

// cost returns the price of a spot. Without a zone it is the price in the cheapest zone. ok is
// false if it is not known.
func (p priceList) cost(s spot) (price float64, ok bool) {
	price = math.Inf(1)
	for zone, x := range p.all[s.typ] {
		if s.zone == "" || s.zone == zone {
			price, ok = min(price, x), true
		}
	}
	return price, ok
}

// prices caches spot prices.
type prices struct {
	session *session.Session

	mu   sync.Mutex
	last priceList
}

// now returns the current spot prices of some types.
func (p *prices) now(ctx context.Context, names []string) (priceList, error) {
	p.mu.Lock()
	known := p.last
	p.mu.Unlock()
	if !known.asked.IsZero() && time.Since(known.asked) < pricesFor &&
		!slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(known.of, n) }) {
		return known, nil
	}
	c, err := p.session.API(ctx)
	if err != nil {
		return priceList{}, err
	}
	now := priceList{asked: time.Now(), of: names, all: map[string]map[string]float64{}}
	// the prices at that moment
	in := &ec2.DescribeSpotPriceHistoryInput{
		StartTime: aws.Time(now.asked), EndTime: aws.Time(now.asked), ProductDescriptions: []string{"Linux/UNIX"},
	}
	for _, n := range names {
		in.InstanceTypes = append(in.InstanceTypes, types.InstanceType(n))
	}
	newest := map[[2]string]time.Time{}
	for x, err := range c.Spot.AllPrices(ctx, in) {
		if err != nil {
			return priceList{}, err
		}
		typ, zone, at := string(x.InstanceType), aws.ToString(x.AvailabilityZone), aws.ToTime(x.Timestamp)
		price, err := strconv.ParseFloat(aws.ToString(x.SpotPrice), 64)
		key := [2]string{typ, zone}
		if was, ok := newest[key]; err != nil || price <= 0 || ok && at.Before(was) {
			continue
		}
		newest[key] = at
		if now.all[typ] == nil {
			now.all[typ] = map[string]float64{}
		}
		now.all[typ][zone] = price
	}
	p.mu.Lock()
	p.last = now
	p.mu.Unlock()
	return now, nil
}

// affordable removes spots whose current price is above a ceiling (0: none). If the types are free,
// the cheapest come first. Unknown prices change nothing: the request carries the ceiling too, and
// EC2 obeys it.
func (l *launcher) affordable(
	ctx context.Context, all []spot, names []string, free bool, ceiling float64, markets []string,
) ([]spot, error) {
	if !free && ceiling == 0 {
		return all, nil // nothing depends on prices
	}
	now, err := l.prices.now(ctx, names)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		err = session.Wrap(ctx, "Prices", compute.ID(l.o.Source), err)
		l.log.Warn("prices of spot instances are not known", "source", l.o.Source, "err", err)
		now = priceList{}
	}
	if free {
		slices.SortStableFunc(all, func(a, b spot) int {
			x, _ := now.cost(a) // an unknown price comes last
			y, _ := now.cost(b)
			return cmp.Compare(x, y)
		})
		all = cheapest(all, mostTypes)
	}
	if ceiling == 0 {
		return all, nil
	}
	least, at := math.Inf(1), ""
	left := slices.DeleteFunc(slices.Clone(all), func(s spot) bool {
		price, ok := now.cost(s)
		if ok && price < least {
			least, at = price, s.String()
		}
		return ok && price > ceiling
	})
	if len(left) == 0 && !slices.Contains(markets, "on-demand") {
		f := &session.Fault{
			Reason: session.NoHardware,
			Message: fmt.Sprintf(
				"spot instances cost at least %v for an hour now (%s), and %v is the most that they may", least, at,
				ceiling,
			),
		}
		return nil, &compute.Error{
			Op: "ec2.Create", ID: compute.ID(l.o.Source), Kind: compute.ErrNoCapacity, Err: f,
			Hint: "wait, raise that (spot-price of the source, or --max-price), or set spot = first",
		}
	}
	return left, nil
}

// cheapest returns the spots of the first types, at most so many.
func cheapest(all []spot, most int) (out []spot) {
	var names []string
	for _, s := range all {
		if !slices.Contains(names, s.typ) {
			if len(names) == most {
				continue
			}
			names = append(names, s.typ)
		}
		out = append(out, s)
	}
	return out
}
