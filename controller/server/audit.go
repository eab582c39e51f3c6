package server

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

// Audit keeps the audit log. auth.Log is one.
type Audit interface {
	Add(a auth.Act)
	List(ctx context.Context, q auth.AuditQuery) ([]auth.Act, error)
}

// act is the audit log's entry of a request in progress.
type act struct {
	auth.Act
	told bool // the entry has been written
}

type actKey struct{}

// about sets the project and the names of things in the audit log's entry.
func about(ctx context.Context, project string, things ...string) {
	if a, ok := ctx.Value(actKey{}).(*act); ok {
		if a.Project, a.Thing = project, strings.Join(things, ","); len(a.Thing) > maxReason {
			a.Thing = strings.ToValidUTF8(a.Thing[:maxReason], "") + "..."
		}
	}
}

// aboutThese sets the leases that are given back or held in the audit log's entry.
func (s *server) aboutThese(ctx context.Context, names []string) {
	if len(names) > 0 {
		about(ctx, s.projectOf(ctx, asker(ctx), auth.Release, names[0]), names...)
	}
}

// known sets the user in the audit log's entry after a sign-in.
func known(ctx context.Context, name, via string) {
	if a, ok := ctx.Value(actKey{}).(*act); ok {
		a.Who, a.Via = name, via
	}
}

// because sets the reason in the audit log's entry, if the request's document has one.
func because(ctx context.Context, reason string) {
	if a, ok := ctx.Value(actKey{}).(*act); ok && reason != "" {
		a.Reason = reason
	}
}

// went notes the error of a request in the audit log's entry.
func went(ctx context.Context, p api.Problem) {
	if a, ok := ctx.Value(actKey{}).(*act); ok {
		a.Outcome, a.Detail = p.Code, p.Detail
	}
}

// begins writes the entry of a long request, such as a connection into an instance, at its start.
func (s *server) begins(ctx context.Context, project, thing string) {
	if a, ok := ctx.Value(actKey{}).(*act); ok && s.Audit != nil && !a.told {
		a.told, a.Project, a.Thing, a.Outcome = true, project, thing, "done"
		s.Audit.Add(a.Act)
	}
}

// isAct reports whether an operation belongs in the audit log. "use" does not, as clients send it
// every few seconds.
func isAct(op *huma.Operation, what auth.Permission) bool {
	return what == auth.Use && op.OperationID != "use" || op.Method != http.MethodGet && op.OperationID != "use"
}

const (
	refusals   = 5    // failures written to the audit log a second
	mostAtOnce = 200  // and at once
	unknowns   = 0.2  // failures of unknown callers a second
	mostOfThem = 50   // and at once
	maxReason  = 1000 // bytes of a reason, and of the names of things
)

// refused limits how many failures are written to the audit log.
type refused struct{ *rate.Limiter }

func newRefused() refused { return refused{rate.NewLimiter(refusals, mostAtOnce)} }

func newStrangers() refused { return refused{rate.NewLimiter(unknowns, mostOfThem)} }

// begin makes the audit log's entry of a request.
func (s *server) begin(r *http.Request, id string, p auth.Principal) *act {
	request, _ := r.Context().Value(requestKey{}).(string)
	a := &act{Act: auth.Act{Time: time.Now(), Who: p.Name, Via: p.Via, From: p.From, Act: id, Request: request}}
	if p.Name != "" { // the words of an unknown caller are not kept
		a.Reason = r.Header.Get(api.ReasonHeader)
	}
	if a.Reason = strings.ToValidUTF8(a.Reason, "?"); len(a.Reason) > maxReason {
		a.Reason = strings.ToValidUTF8(a.Reason[:maxReason], "")
	}
	return a
}

// end writes the entry of an answered request, unless it was written at its start.
func (s *server) end(a *act, status int) {
	if s.Audit == nil || a.told {
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
		few := s.refused
		if a.Who == "" {
			few = s.strangers
		}
		if !few.Allow() {
			s.missed.Add(1)
			return
		}
		a.Missed = int(s.missed.Swap(0))
	}
	s.Audit.Add(a.Act)
}

// named returns the first parameter in a path and its value; "": the pattern has none.
func named(pattern, path string) (kind, name string) {
	_, pattern, _ = strings.Cut(pattern, " ")
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, w := range want {
		if strings.HasPrefix(w, "{") && i < len(have) {
			name, _ := url.PathUnescape(have[i])
			return strings.Trim(w, "{}"), name
		}
	}
	return "", ""
}

// projectOf returns the project of the thing that a request names, for the audit log. It asks the
// engine only if the caller's projects leave a choice. "": not known.
func (s *server) projectOf(ctx context.Context, p auth.Principal, what auth.Permission, name string) string {
	if p.Chosen {
		return p.Project
	}
	if s.Projects == nil || len(s.Projects()) == 0 {
		return ""
	}
	if some, every := p.Projects(what); !every && len(some) == 1 {
		return some[0]
	}
	if _, l, err := s.find(ctx, name); err == nil && l != nil {
		return l.Project
	}
	return ""
}

// address returns the host that a request comes from; "": this machine's socket.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// tooMany refuses a request of a caller that asks too often, and says when to ask again.
func (s *server) tooMany(w http.ResponseWriter, r *http.Request, wait time.Duration, text string) {
	w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	s.refuse(
		w, r,
		&compute.Error{
			Kind: compute.ErrNoCapacity, Err: tooMany(text),
			Hint: "ask again after " + (wait.Round(time.Second) + time.Second).String(),
		},
	)
}

type tooMany string

func (t tooMany) Error() string { return string(t) }

type auditList struct {
	Body struct {
		Acts []api.Act `json:"acts" doc:"the newest first"`
		Next int64     `json:"next,omitempty" doc:"give it as before for those that follow; left out: there are no more"`
	}
}

// audits adds the route of the audit log.
func (s *server) audits() {
	if s.Audit == nil {
		return
	}
	register(s, huma.Operation{
		OperationID: "list-audit", Extensions: needs(auth.Audit), Method: http.MethodGet, Path: "/v1/audit",
		Summary: "Who did what, and what was refused to whom", Tags: []string{"people"},
		Description: "For operators that of their projects, for administrators all. What was done in the last moment is not in it yet.",
	}, s.listAudit)
}

// listAudit returns the entries of the projects that the caller may audit.
func (s *server) listAudit(ctx context.Context, in *struct {
	Who    string    `query:"who" doc:"only what he did"`
	Act    string    `query:"act" doc:"only this operation, such as acquire or create-token"`
	Since  time.Time `query:"since" doc:"only what is newer"`
	Before int64     `query:"before" minimum:"0" doc:"what comes before the entry of this id; left out: the newest"`
	Limit  int       `query:"limit" minimum:"1" maximum:"10000" default:"100" doc:"so many at most"`
}) (*auditList, error) {
	projects, every := asker(ctx).Projects(auth.Audit)
	if every {
		projects = nil
	}
	all, err := s.Audit.List(
		ctx,
		auth.AuditQuery{Before: in.Before, Since: in.Since, Projects: projects, Who: in.Who, Act: in.Act, Limit: in.Limit},
	)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := &auditList{}
	out.Body.Acts = make([]api.Act, len(all))
	for i, a := range all {
		out.Body.Acts[i] = api.Act(a)
	}
	if len(all) == in.Limit {
		out.Body.Next = all[len(all)-1].ID
	}
	return out, nil
}
