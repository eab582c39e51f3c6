package access

import (
	"context"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server/request"
)

// Log keeps the audit log. auth.Log is one.
type Log interface {
	Add(a auth.Act)
	List(ctx context.Context, q auth.AuditQuery) ([]auth.Act, error)
}

const (
	refusals   = 5   // failures written to the audit log a second
	mostAtOnce = 200 // and at once
	unknowns   = 0.2 // failures of unknown callers a second
	mostOfThem = 50  // and at once
)

// Audit writes the entries of requests. It leaves out failures when there are too many at once.
type Audit struct {
	log       Log // nil: nothing is written
	refused   *rate.Limiter
	strangers *rate.Limiter // the same for unknown callers
	missed    atomic.Int64  // failures left out since the last entry
}

// NewAudit returns an Audit that writes to a log; nil: to none.
func NewAudit(log Log) *Audit {
	return &Audit{log: log, refused: rate.NewLimiter(refusals, mostAtOnce), strangers: rate.NewLimiter(unknowns, mostOfThem)}
}

// Begins writes the entry of a long request, such as a connection into an instance, at its start.
func (u *Audit) Begins(ctx context.Context, project, thing string) {
	if a := request.EntryOf(ctx); a != nil && u.log != nil && !a.Written {
		a.Written, a.Project, a.Thing, a.Outcome = true, project, thing, "done"
		u.log.Add(a.Act)
	}
}

// end writes the entry of an answered request, unless it was written at its start.
func (u *Audit) end(a *request.Entry, status int) {
	if u.log == nil || a.Written {
		return
	}
	switch {
	case a.Outcome != "":
	case status < 400:
		a.Outcome = "done"
	case status < 500:
		a.Outcome = "invalid"
	default:
		a.Outcome = "failed"
	}
	if a.Outcome != "done" { // unknown callers have a limit of their own
		few := u.refused
		if a.Who == "" {
			few = u.strangers
		}
		if !few.Allow() {
			u.missed.Add(1)
			return
		}
		a.Missed = int(u.missed.Swap(0))
	}
	u.log.Add(a.Act)
}
