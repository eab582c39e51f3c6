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

// pricesFor is how long it is believed what spot instances cost. Amazon changes prices some times a
// day.
const pricesFor = 5 * time.Minute

// mostPriced is how many types are looked at for the one that costs least.
const mostPriced = 100

// priceList is what spot instances cost for an hour, as they were at a time.
type priceList struct {
	asked time.Time
	of    []string                      // the types that were asked for
	all   map[string]map[string]float64 // by type and zone
}

// cost is what a spot instance costs; without a zone what it costs where it is cheapest. ok is
// false where that is not known.
func (p priceList) cost(s spot) (price float64, ok bool) {
	price = math.Inf(1)
	for zone, x := range p.all[s.typ] {
		if s.zone == "" || s.zone == zone {
			price, ok = min(price, x), true
		}
	}
	return price, ok
}

// prices are what spot instances cost.
type prices struct {
	session *session.Session

	mu   sync.Mutex
	last priceList
}

// now asks what spot instances of some types cost now.
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
	// what counts at that moment
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

// affordable leaves spots out that cost more now than a ceiling (0: none), and, where types are
// free, puts those in front that cost least. Prices that are not to be had change nothing: the
// ceiling goes along with the request, and EC2 keeps to it.
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
			x, _ := now.cost(a) // one that is not known comes last
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

// cheapest are the spots of the first so many types.
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
