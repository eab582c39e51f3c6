package director

import (
	"fmt"
	"time"

	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/director/stock"
)

// Computers that a provider keeps standing ahead (provider.Prewarm) are a second stock behind the
// ready instances. Each lease takes a ready instance. Its replacement takes a computer that stands
// ahead, and that one's replacement takes the lead time. Moving one from the second stock to the
// first takes next to no time. So both stocks together are to be the base stock of the lead time,
// as Demand has it. The number ahead is what the spare instances lack of it: 0 where they suffice,
// and 0 without requests.

const (
	// usualLead is the lead time that is assumed as long as none was seen.
	usualLead = 10 * time.Second
	// aheadCalm is the least time between changes that demand alone asks for. A decrease also is by
	// a quarter at least, and waits for aheadLess.
	aheadCalm = 10 * time.Second
	aheadLess = time.Minute
	// aheadLasts is the time after which an unchanged number is sent again: it may have been
	// changed at the provider's place.
	aheadLasts = 10 * time.Minute
)

// hitRate returns the share of requests that should find an instance ready.
func hitRate(s Strategy) float64 {
	hit := 0.0
	switch s := s.(type) {
	case Demand:
		hit = s.HitRate
	case Larger:
		for _, one := range s {
			if d, ok := one.(Demand); ok {
				hit = d.HitRate
			}
		}
	}
	if hit <= 0 || hit >= 1 {
		return stock.UsualHitRate
	}
	return hit
}

// arrivals returns the rate of leases, the rate two standard deviations above it, both in leases a
// second, and the variance of their number over its mean.
func arrivals(m plan.Demand) (rate, upper, spread float64) {
	window := m.Window.Seconds()
	late := float64(m.Late) * lateShare / window
	return max(float64(m.Given)/window, late), max(above(m.Given)/window, late), min(max(1, m.Spread), spreadMost)
}

// ahead returns the directive for how many computers are to stand ahead of a source. due is false
// if nothing needs to be sent now.
func ahead(p Policy, n sums, now time.Time, s *plan.SourceState) (d plan.Directive, due bool) {
	a := s.Ahead
	if a == nil || a.Busy || a.Failed && now.Sub(a.Said) < aheadCalm {
		return d, false
	}
	want, keep, why := a.Least, a.Least, fmt.Sprintf("%d at least", a.Least)
	if m := s.Demand; m.Given > 0 && m.Window > 0 {
		lead := a.Lead
		if lead <= 0 {
			lead = usualLead
		}
		rate, upper, spread := arrivals(m)
		spare := max(0, n.wanted-n.busy-s.Waiting)
		base := func(rate float64) int { return stock.Base(hitRate(p.Strategy), rate*lead.Seconds(), spread) - spare }
		if base(rate) > want {
			want, why = base(rate), fmt.Sprintf(
				"%s come and one takes %v to stand there, beside %d spare", perHour(rate), roughly(lead), spare,
			)
		}
		keep = max(keep, want, base(upper))
	}
	// all that the source has together is bounded by its maximum, and by its budget
	most := max(0, n.most-max(s.Present, n.wanted))
	if want > most {
		want, why = most, fmt.Sprintf("%s; there is room for %d", why, most)
	}
	keep = min(keep, most)
	calm := now.Sub(a.Said)
	switch {
	case a.Count > most:
		d.Count = want
	case a.Count < want && calm >= aheadCalm:
		d.Count = want
	case 4*keep <= 3*a.Count && keep < a.Count && calm >= aheadLess:
		// smaller steps wait until it is said again anyway
		d.Count = keep
	case a.Failed, calm >= aheadLasts:
		d.Count = min(a.Count, keep)
	default:
		return d, false
	}
	d.Again = d.Count == a.Count && !a.Failed
	d.Verb, d.Reason = plan.VerbAhead, fmt.Sprintf("%d stood ahead: %s", a.Count, why)
	return d, true
}

// leave plans the removal of computers that stand ahead of definitions that are not in force any
// more.
func leave(snap plan.Snapshot) (plans []Plan) {
	for _, l := range snap.Left {
		why := "its definition is not in force any more"
		plans = append(
			plans,
			Plan{
				Source: l.Source, Reason: why,
				Directives: []plan.Directive{{Verb: plan.VerbAhead, Source: l.Source, Key: l.Key, Reason: why}},
			},
		)
	}
	return plans
}
