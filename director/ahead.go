package director

import (
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// What a provider keeps standing ahead of a source's instances (compute.Reserver) is a second stock
// behind the first: each lease takes a ready instance, whose replacement takes one that stands
// ahead, which is replaced by one that takes the lead time. Since from the one stock to the other
// it takes next to nothing, both together are to be the base stock of the lead time, as Demand has
// it, and ahead is what the spare ones lack of it: none where they are enough by themselves, and
// none where nothing is asked for.

const (
	// usualLead is taken for the lead time as long as none was seen.
	usualLead = 10 * time.Second
	// aheadCalm is for how long after a change none follows that demand alone asks for; less, and
	// then by a quarter at least, only after aheadLess.
	aheadCalm = 10 * time.Second
	aheadLess = time.Minute
	// aheadLasts is after how long what is so is said again: somebody may have changed it at the
	// provider's place.
	aheadLasts = 10 * time.Minute
)

// hitRate is the share of requests that shall find an instance ready.
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
		return usualHitRate
	}
	return hit
}

// arrivals are the rate of leases, one two standard deviations above it, in leases a second, and
// the variance of their number over its mean.
func arrivals(m compute.Demand) (rate, upper, spread float64) {
	window := m.Window.Seconds()
	late := float64(m.Late) * lateShare / window
	return max(float64(m.Given)/window, late), max(above(m.Given)/window, late), min(max(1, m.Spread), spreadMost)
}

// ahead says how many are to stand ahead of a source, if that is to be said now.
func ahead(p Policy, n sums, now time.Time, s *compute.SourceState) (d compute.Directive, due bool) {
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
		base := func(rate float64) int { return 1 + quantile(hitRate(p.Strategy), rate*lead.Seconds(), spread) - spare }
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
	d.Verb, d.Reason = compute.VerbAhead, fmt.Sprintf("%d stood ahead: %s", a.Count, why)
	return d, true
}

// leave has what stands ahead of definitions that are not in force any more be taken away.
func leave(snap compute.Snapshot) (plans []Plan) {
	for _, l := range snap.Left {
		why := "its definition is not in force any more"
		plans = append(
			plans,
			Plan{
				Source: l.Source, Reason: why,
				Directives: []compute.Directive{{Verb: compute.VerbAhead, Source: l.Source, Key: l.Key, Reason: why}},
			},
		)
	}
	return plans
}
