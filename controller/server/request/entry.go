package request

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/text/visible"
)

// MaxReason is how many bytes of a reason, of the names of things and of what went wrong the audit
// log keeps.
const MaxReason = 1000

// Entry is the audit log's entry of a request in progress.
type Entry struct {
	auth.AuditEntry
	Written bool // it is in the log already
}

// Begin makes the entry of a request for an operation.
func Begin(r *http.Request, operation string, p auth.Principal) *Entry {
	e := &Entry{AuditEntry: auth.AuditEntry{
		Time: time.Now(), Who: p.Name, Via: p.Via, From: p.From, Act: operation, Request: idOf(r.Context()),
	}}
	if p.Name != "" { // the words of an unknown caller are not kept
		e.Reason = kept(r.Header.Get(api.ReasonHeader), "")
	}
	return e
}

// kept is what the audit log keeps of a caller's text: so much of it, and what a terminal would
// obey or not show as it is written in Go. more stands for the rest.
func kept(text, more string) string {
	if len(text) > MaxReason {
		text = strings.ToValidUTF8(text[:MaxReason], "") + more
	}
	return visible.Line(strings.ToValidUTF8(text, "?"))
}

// WithEntry returns a context with the entry of a request.
func WithEntry(ctx context.Context, e *Entry) context.Context {
	return context.WithValue(ctx, entryKey{}, e)
}

// EntryOf returns the entry of a request; nil: it has none.
func EntryOf(ctx context.Context) *Entry {
	e, _ := ctx.Value(entryKey{}).(*Entry)
	return e
}

// About sets the project and the names of things in the entry.
func About(ctx context.Context, project string, things ...string) {
	if e := EntryOf(ctx); e != nil {
		e.About(project, things...)
	}
}

// About sets the project and the names of things.
func (e *Entry) About(project string, things ...string) {
	e.Project, e.Thing = project, kept(strings.Join(things, ","), "...")
}

// Known sets the user in the entry after a sign-in.
func Known(ctx context.Context, name, via string) {
	if e := EntryOf(ctx); e != nil {
		e.Who, e.Via = name, via
	}
}

// Because sets the reason in the entry, if the request's document has one.
func Because(ctx context.Context, reason string) {
	if e := EntryOf(ctx); e != nil && reason != "" {
		e.Reason = kept(reason, "")
	}
}

// failed notes the error of a request in its entry.
func failed(ctx context.Context, p api.Problem) {
	if e := EntryOf(ctx); e != nil {
		e.Outcome, e.Detail = p.Code, kept(p.Detail, "...")
	}
}
