package auth

import (
	"sync/atomic"

	"golang.org/x/time/rate"
)

// How many requests that were not done the audit log takes, a second and at once: of known callers,
// and of unknown ones.
const (
	refusals, refusalsAtOnce   = 5, 200
	strangers, strangersAtOnce = 0.2, 50
)

// RequestLog writes the entries of requests to an audit log. When too many are not done, it leaves
// out some of these. All methods may be called concurrently.
type RequestLog struct {
	add       func(AuditEntry)
	refused   *rate.Limiter
	strangers *rate.Limiter // the same for unknown callers
	missed    atomic.Int64  // left out since the last entry
}

// NewRequestLog returns a RequestLog that gives its entries to add.
func NewRequestLog(add func(AuditEntry)) *RequestLog {
	return &RequestLog{
		add: add, refused: rate.NewLimiter(refusals, refusalsAtOnce), strangers: rate.NewLimiter(strangers, strangersAtOnce),
	}
}

// Add writes an entry. changed: the request changed something, so that its entry is never left out.
func (l *RequestLog) Add(a AuditEntry, changed bool) {
	if !changed {
		few := l.refused
		if a.Who == "" {
			few = l.strangers
		}
		if !few.Allow() {
			l.missed.Add(1)
			return
		}
		a.Missed = int(l.missed.Swap(0))
	}
	l.add(a)
}
