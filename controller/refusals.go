package controller

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/policy/fetch"
)

// Limits on reports of refused fetches: one of the same caller and target in sameRefusal, and so
// many a second and at once.
const (
	sameRefusal                      = time.Minute
	mostRefusals                     = 1000 // targets to remember
	fetchRefusals, fetchRefusalsOnce = 1, 100
)

// refusals writes refused fetches to the log and the audit log.
type refusals struct {
	log   *slog.Logger
	audit atomic.Pointer[auth.Log]
	few   *rate.Limiter

	mu     sync.Mutex
	told   map[string]time.Time
	missed int
}

func NewRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, few: rate.NewLimiter(fetchRefusals, fetchRefusalsOnce), told: map[string]time.Time{}}
}

// Add reports a refusal, unless the same was reported just now or there are too many.
func (r *refusals) Add(ctx context.Context, what *fetch.Refused) {
	who, _ := fetch.RequesterOf(ctx)
	thing := what.Where()
	missed, ok := r.fresh(who.Name + "\n" + thing)
	if !ok {
		return
	}
	why := what.Why
	if what.Addr.IsValid() {
		why += ": " + what.Addr.String()
	}
	r.log.Warn("not fetched for others", "what", thing, "why", why, "who", who.Name, "from", who.From, "missed", missed)
	if to := r.audit.Load(); to != nil {
		to.Add(auth.AuditEntry{
			Time: time.Now(), Who: who.Name, Via: who.Via, From: who.From, Project: who.Project, Act: "fetch",
			Thing: thing, Outcome: "denied", Detail: why, Missed: missed,
		})
	}
}

// fresh reports whether to report a refusal, and how many before it were not reported.
func (r *refusals) fresh(key string) (missed int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.told[key]) < sameRefusal || !r.few.Allow() {
		r.missed++
		return 0, false
	}
	if len(r.told) >= mostRefusals {
		clear(r.told)
	}
	r.told[key] = now
	missed, r.missed = r.missed, 0
	return missed, true
}
