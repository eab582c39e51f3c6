package request

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// problem is an error in the form that huma writes.
type problem struct{ api.Problem }

func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return api.ProblemType }

// Errors answers requests that fail, and logs what their callers may not know.
type Errors struct{ Log *slog.Logger }

// LogOf returns the log with the id of the request in ctx.
func (s Errors) LogOf(ctx context.Context) *slog.Logger {
	if id := idOf(ctx); id != "" {
		return s.Log.With("request", id)
	}
	return s.Log
}

// Fault turns an error into a problem as huma writes it; nil stays nil.
func (s Errors) Fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return &problem{s.Problem(ctx, err)}
}

// Problem returns the document of an error, with only what the caller may know.
func (s Errors) Problem(ctx context.Context, err error) api.Problem {
	gone := ctx.Err() != nil && errors.Is(err, ctx.Err())
	// the request was ended for a reason, such as a changed permission
	if cause := context.Cause(ctx); gone && !errors.Is(cause, ctx.Err()) {
		err, gone = cause, false
	} else if gone {
		err = &compute.Error{Kind: compute.ErrFailed, Err: errHungUp}
	}
	// only the controller's own user may see the address and user of the store
	if away(err) && !Caller(ctx).Own {
		s.LogOf(ctx).Error("the store cannot be reached", "err", err, "hint", compute.Hint(err))
		err = errAway
	}
	p := api.NewProblem(err)
	switch {
	case p.Status != http.StatusInternalServerError:
	case gone:
		s.LogOf(ctx).Debug("a request was given up", "err", err)
	default:
		s.LogOf(ctx).Error("a request failed", "err", err)
	}
	if Caller(ctx).Own {
		p = api.PlainProblem(err) // this user has the log too
	}
	p.Detail, p.ID = clipped(p.Detail), clipped(p.ID)
	failed(ctx, p)
	p.Request = idOf(ctx)
	return p
}

// errAway is what callers are told when the store cannot be reached.
var errAway = &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("the store cannot be reached"),
	Hint: "try again soon; whoever runs the controller finds the reason in its log, by the id of this request"}

// away reports whether an error means that the store cannot be reached. Its text has the store's
// address.
func away(err error) bool {
	for e := (*compute.Error)(nil); errors.As(err, &e); err = e.Err {
		if (e.Op == "postgres" || e.Op == "state") && errors.Is(e.Kind, compute.ErrUnavailable) {
			return true
		}
	}
	return false
}

// errHungUp is the error of a request whose client has gone, for the audit log.
var errHungUp = errors.New("whoever asked has hung up")

// Refuse writes an error, where huma does not.
func (s Errors) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := s.Problem(r.Context(), err)
	if p.Status == http.StatusForbidden && w.Header().Get("WWW-Authenticate") != "" {
		p.Status = http.StatusUnauthorized // the caller is not authenticated
	}
	WriteProblem(w, p)
}

// RefuseLarge answers as huma does to a body that is larger than most.
func (s Errors) RefuseLarge(w http.ResponseWriter, r *http.Request, most int) {
	p := api.Problem{Detail: "request body is too large"}
	if e, ok := huma.NewError(
		http.StatusRequestEntityTooLarge, fmt.Sprintf("request body is too large limit=%d bytes", most),
	).(*problem); ok {
		p = e.Problem
	}
	failed(r.Context(), p)
	p.Request = idOf(r.Context())
	WriteProblem(w, p)
}

// WriteProblem writes a problem document.
func WriteProblem(w http.ResponseWriter, p api.Problem) {
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // nobody is left to tell
}

// mostDetail is how many bytes of an error are sent.
const mostDetail = 2000

// SetUp gives the errors that huma finds in requests the form of all others. It sets functions
// of huma that are global to the process.
var SetUp = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true // "IMAGE" is not "image"
	huma.NewErrorWithContext = func(c huma.Context, status int, text string, errs ...error) huma.StatusError {
		err := huma.NewError(status, text, errs...)
		if p, ok := err.(*problem); ok && c != nil {
			p.Request = idOf(c.Context())
			failed(c.Context(), p.Problem)
		}
		return err
	}
	huma.NewError = func(status int, text string, errs ...error) huma.StatusError {
		p := api.Problem{Title: http.StatusText(status), Status: status, Code: "invalid", Detail: text}
		between := ": "
		for _, e := range errs {
			// the rest would be cut off, and searching such a long text is slow
			if len(p.Detail) > mostDetail {
				break
			}
			if text := wrong(e); text != "" && !strings.Contains(p.Detail, text) {
				p.Detail += between + text
				between = "; "
			}
		}
		switch {
		case status >= 500:
			p.Code = "failed"
		case status == http.StatusNotFound:
			p.Code = "not-found"
		case status == http.StatusRequestTimeout:
			p.Code = "timeout"
		}
		if status == http.StatusUnprocessableEntity || status == http.StatusBadRequest {
			p.Title, p.Hint = compute.ErrInvalid.Error(), "GET /openapi.json says what a request has"
		}
		p.Detail = clipped(p.Detail)
		return &problem{p}
	}
})

// wrong returns what huma found wrong, and where. It quotes only short values of the request: the
// rest of a body may be long, or a secret in the wrong place.
func wrong(err error) string {
	if err == nil {
		return ""
	}
	var e *huma.ErrorDetail
	if !errors.As(err, &e) {
		return err.Error()
	}
	text := e.Message
	if e.Location != "" {
		text += ": " + e.Location
	}
	switch v := e.Value.(type) {
	case string:
		if v != "" && len(v) <= mostRepeated && e.Location != "body" {
			text += fmt.Sprintf(" is %q", v)
		}
	case float64, bool, int, int64:
		text += fmt.Sprintf(" is %v", v)
	}
	return text
}

const mostRepeated = 100 // the longest value of a request, in bytes, that an error quotes

// clipped shortens a text that may quote parts of a request.
func clipped(text string) string {
	if len(text) <= mostDetail {
		return text
	}
	return strings.ToValidUTF8(text[:mostDetail], "") + " ..."
}
