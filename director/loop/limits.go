package loop

import (
	"math"
	"time"
)

// Slots limit how many directives may be under way at a time at one thing, such as a source, a
// provider or a rack.
type Slots struct {
	Name string // for people; it may be empty
	Most int    // 0: no limit
	Busy int    // so many are under way
}

// Room returns how many more directives may be begun that are at all of these.
func Room(all ...*Slots) int {
	room := math.MaxInt32
	for _, s := range all {
		if s.Most > 0 {
			room = min(room, s.Most-s.Busy)
		}
	}
	return max(0, room)
}

// Take counts n more directives at all of these.
func Take(n int, all ...*Slots) {
	for _, s := range all {
		s.Busy += n
	}
}

// Rate lets N directives of a kind be begun in a period; N = 0: no limit.
type Rate struct {
	N      int
	Period time.Duration
}

// Limiter holds a rate. Directives beyond it are dropped, not queued: the next round decides anew.
// It may be kept as JSON, which has no rate. It is not safe for concurrent use.
type Limiter struct {
	Start time.Time `json:"start"` // of the period
	Count int       `json:"count"` // so many were let through in it

	rate Rate
}

// NewLimiter returns a limiter with its first period beginning now.
func NewLimiter(rate Rate, now time.Time) *Limiter { return &Limiter{rate: rate, Start: now} }

// Unlimited reports whether everything is let through.
func (l *Limiter) Unlimited() bool { return l.rate.N <= 0 }

// Grant returns how many of those offered may go, and counts them. A new period begins when the
// last one is over, or when the clock was set back before its beginning.
func (l *Limiter) Grant(offered int, now time.Time) int {
	if l.Unlimited() {
		return offered
	}
	if now.Before(l.Start) || now.Sub(l.Start) >= l.rate.Period {
		l.Start, l.Count = now, 0
	}
	granted := max(0, min(offered, l.rate.N-l.Count))
	l.Count += granted
	return granted
}
