package director

import "math"

// quantile returns the smallest n such that a count with that mean, and that variance over its
// mean, is at most n with probability p. The count has the Poisson distribution, or with a spread
// above 1 the negative binomial one. Above a mean of 300 the normal distribution is near enough.
func quantile(p, mean, spread float64) int {
	if !(mean > 0) || !(p > 0) {
		return 0
	}
	p = min(p, 0.999999)
	spread = max(1, spread)
	if mean > 300 || mean/spread < 1e-6 && spread > 1 {
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
