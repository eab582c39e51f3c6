package caching

import "time"

// Limiter lets at most N directives of a kind through in each period. What it does not let through is dropped and not queued: the next round decides anew. It is not safe for use by several
// goroutines at once.
type Limiter struct {
	n      int
	period time.Duration
	start  time.Time
	count  int
}

// NewLimiter makes one whose first period begins now. n = 0 limits nothing.
func NewLimiter(n int, period time.Duration, now time.Time) *Limiter {
	return &Limiter{n: n, period: period, start: now}
}

// Grant says how many of those offered may go, and counts them. A new period begins, now, when the last one is over, or when the clock was put back before its beginning.
func (l *Limiter) Grant(offered int, now time.Time) int {
	if l.n <= 0 {
		return offered
	}
	if now.Before(l.start) || now.Sub(l.start) >= l.period {
		l.start, l.count = now, 0
	}
	granted := max(0, min(offered, l.n-l.count))
	l.count += granted
	return granted
}
