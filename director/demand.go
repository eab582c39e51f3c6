package director

import (
	"fmt"
	"math"
	"time"

	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/director/stock"
)

// Demand is the strategy that keeps as many spare ones as the next requests will take before a new
// one can stand in their place.
//
// It is the base-stock policy with one-for-one replenishment, (S-1, S), of inventory theory. Each
// lease that is given takes one instance away and orders another, which is there after the time t:
// that of making one, or the time until the leased one comes back, where it is used again and that
// is shorter. With arrivals of a Poisson process at the rate r, the number of orders under way has
// the Poisson distribution with the mean r*t, whatever the distribution of t (Palm's theorem; it is
// the queue M/G/∞). A request finds an instance ready if fewer than S are under way, so for the
// share HitRate of requests
//
//	S = 1 + min { n : P(Poisson(r*t) <= n) >= HitRate }
//
// G. J. Feeney and C. C. Sherbrooke, The (s-1, s) Inventory Policy under Compound Poisson Demand,
// Management Science 12 (5), 1966. Requests that come in bursts have a variance over the mean above
// 1; then the negative binomial distribution with that ratio stands for Poisson's, as in C. C.
// Sherbrooke, VARI-METRIC: Improved Approximations for Multi-Indenture, Multi-Echelon Availability
// Models, Operations Research 34 (2), 1986.
//
// The rate is the larger of that in the whole window and that in its last tenth: it grows at once
// and shrinks slowly. What is there is kept up to the S of a rate two standard deviations above, so
// that the noise of counting makes nothing come and go. Without requests in the window S is 0.
type Demand struct {
	HitRate float64 // the share of requests that shall find one ready, between 0 and 1; 0: 0.95
}

const (
	// usualMade is the time to make an instance that is assumed as long as none was made.
	usualMade = time.Minute
	// spreadMost limits what one large burst makes of the variance.
	spreadMost = 20
	lateShare  = 10 // the last tenth of the window
)

// Level returns the configured level, with S beside the instances in use if that is more.
func (d Demand) Level(now time.Time, s plan.SourceState) Level {
	l := Reserve{}.Level(now, s)
	m := s.Demand
	if m.Given == 0 || m.Window <= 0 {
		l.Reason = "no lease was given lately: " + l.Reason
		return l
	}
	hit := hitRate(d)
	lead := m.Made
	if lead <= 0 {
		lead = usualMade
	}
	what := "making one"
	if m.Held > 0 && m.Held < lead {
		lead, what = m.Held, "getting one back"
	}
	rate, upper, spread := arrivals(m)
	base := func(rate float64) int { return stock.Base(hit, rate*lead.Seconds(), spread) }
	spare := base(rate)
	if spare <= l.Spare {
		l.Keep = max(l.Keep, base(upper))
		l.Reason += fmt.Sprintf(", which is enough for %s", perHour(rate))
		return l
	}
	l.Spare, l.Keep = spare, max(spare, base(upper))
	l.Reason = fmt.Sprintf("spare %d, as %s come and %s takes %v", spare, perHour(rate), what, roughly(lead))
	return l
}

// above returns n and two standard deviations of a count of n.
func above(n int) float64 { return float64(n) + 2*math.Sqrt(float64(n)) }

func perHour(rate float64) string { return fmt.Sprintf("%.3g leases an hour", rate*3600) }

// roughly rounds a duration for people.
func roughly(d time.Duration) time.Duration {
	if d >= time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}
