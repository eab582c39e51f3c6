// Package backoff says how long to wait after failures in a row: exponential backoff.
package backoff

import (
	"math"
	"math/rand/v2"
	"time"
)

// Exponential is a pause that grows with each failure.
type Exponential struct {
	First  time.Duration // after the first failure
	Most   time.Duration
	Factor float64 // from one to the next; 0: 2
}

// After returns the pause after so many failures in a row; 0 without any.
func (e Exponential) After(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	factor := e.Factor
	if factor == 0 {
		factor = 2
	}
	return time.Duration(min(float64(e.First)*math.Pow(factor, float64(failures-1)), float64(e.Most)))
}

// Jitter returns d, up to a quarter longer or shorter, so that several that failed together do not
// try again together.
func Jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + rand.Float64()/2)) //nolint:gosec // no secret
}
