package auth

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// How many requests that were not done the audit log takes, a second and at once: of known callers,
// of one of them, and of unknown ones.
const (
	refusals, refusalsAtOnce   = 5, 200
	ofOne, ofOneAtOnce         = 1, 50
	strangers, strangersAtOnce = 0.2, 50
	mostNames                  = 10000
)

// RequestLog writes the entries of requests to an audit log. When too many are not done, it leaves
// out some of these, first those of callers who have many. What is denied counts apart from what is
// only wrong, so that the one does not hide the other. All methods may be called concurrently.
type RequestLog struct {
	add            func(AuditEntry)
	denied, failed refusalLimit
	missed         atomic.Int64 // left out since the last entry
}

// refusalLimit limits entries of one sort.
type refusalLimit struct {
	known     *rate.Limiter
	one       buckets       // of each known caller
	strangers *rate.Limiter // the same for unknown callers
}

func newRefusalLimit() refusalLimit {
	return refusalLimit{
		known: rate.NewLimiter(refusals, refusalsAtOnce), strangers: rate.NewLimiter(strangers, strangersAtOnce),
		one: buckets{rate: ofOne, burst: ofOneAtOnce, most: mostNames},
	}
}

func (l *refusalLimit) allow(who string) bool {
	if who == "" {
		return l.strangers.Allow()
	}
	_, ok := l.one.take(who, time.Now(), 1)
	return ok && l.known.Allow()
}

// NewRequestLog returns a RequestLog that gives its entries to add.
func NewRequestLog(add func(AuditEntry)) *RequestLog {
	return &RequestLog{add: add, denied: newRefusalLimit(), failed: newRefusalLimit()}
}

// Add writes an entry. changed: the request changed something, so that its entry is never left out.
func (l *RequestLog) Add(a AuditEntry, changed bool) {
	if !changed {
		few := &l.failed
		if a.Outcome == "denied" {
			few = &l.denied
		}
		if !few.allow(a.Who) {
			l.missed.Add(1)
			return
		}
		a.Missed = int(l.missed.Swap(0))
	}
	l.add(a)
}
