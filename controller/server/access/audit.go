package access

import (
	"context"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server/request"
)

// Log keeps the audit log. auth.Log is one.
type Log interface {
	Add(a auth.AuditEntry)
	List(ctx context.Context, q auth.AuditQuery) ([]auth.AuditEntry, error)
}

// Audit writes the entries of requests.
type Audit struct {
	log      Log              // nil: nothing is written
	requests *auth.RequestLog // leaves out failures when there are too many at once
}

// NewAudit returns an Audit that writes to a log; nil: to none.
func NewAudit(log Log) *Audit {
	u := &Audit{log: log}
	if log != nil {
		u.requests = auth.NewRequestLog(log.Add)
	}
	return u
}

// Begins writes the entry of a long request, such as a connection into an instance, at its start.
func (u *Audit) Begins(ctx context.Context, project, thing string) {
	if a := request.EntryOf(ctx); a != nil && u.log != nil && !a.Written {
		a.About(project, thing)
		a.Written, a.Outcome = true, "done"
		u.log.Add(a.AuditEntry)
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
	u.requests.Add(a.AuditEntry, a.Outcome == "done")
}
