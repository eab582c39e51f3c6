// Package stock says how many must stand ready so that most requests find one: the base-stock
// policy of inventory theory, as director.Demand describes it. It counts instances of sources and
// nodes with an image alike. It is pure.
package stock

import "math"

// UsualHitRate is the share of requests that are to find one ready, where none is configured.
const UsualHitRate = 0.95

// Base returns how many must stand ready so that a request finds one with the probability hit, if
// so many others come in the mean before one that was taken is replaced. spread is the variance of
// their number over the mean; up to 1 their number has Poisson's distribution.
func Base(hit, mean, spread float64) int { return 1 + quantile(hit, mean, spread) }

// Chances returns the probability with which each of Base(hit, mean, 1) is asked for: that more
// than 0, 1, 2... requests come. It returns none for a mean of 0.
func Chances(hit, mean float64) []float64 {
	if !(mean > 0) {
		return nil
	}
	mean = min(mean, 1e6)
	more := make([]float64, Base(hit, mean, 1))
	if mean > manyRequests {
		for n := range more {
			more[n] = math.Erfc((float64(n)+0.5-mean)/math.Sqrt(2*mean)) / 2
		}
		return more
	}
	probability := math.Exp(-mean) // of exactly n
	sum := probability
	for n := range more {
		more[n] = max(0, 1-sum)
		probability *= mean / float64(n+1)
		sum += probability
	}
	return more
}

// manyRequests is the mean above which the normal distribution is near enough.
const manyRequests = 300

// quantile returns the smallest n such that a count with that mean, and that variance over its
// mean, is at most n with probability p. The count has the Poisson distribution, or with a spread
// above 1 the negative binomial one.
func quantile(p, mean, spread float64) int {
	if !(mean > 0) || !(p > 0) {
		return 0
	}
	p = min(p, 0.999999)
	spread = max(1, spread)
	if mean > manyRequests || mean/spread < 1e-6 && spread > 1 {
		z := math.Sqrt2 * math.Erfinv(2*p-1)
		return int(math.Ceil(max(0, mean+z*math.Sqrt(mean*spread))))
	}
	probability := math.Exp(-mean) // of none
	ratio := func(n float64) float64 { return mean / (n + 1) }
	if spread > 1.0001 {
		r := mean / (spread - 1)
		probability = math.Pow(spread, -r)
		ratio = func(n float64) float64 { return (n + r) / (n + 1) * (spread - 1) / spread }
	}
	sum := probability
	n := 0
	for most := int(mean+20*math.Sqrt(mean*spread)) + 20; sum < p && n < most; n++ {
		probability *= ratio(float64(n))
		sum += probability
	}
	return n
}
