package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// problem is an error as huma writes it.
type problem struct{ api.Problem }

func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return api.ProblemType }

// fault makes a problem of an error; nil stays nil.
func (s *server) fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return &problem{s.problem(ctx, err)}
}

// problem is the document of an error, as far as the asker may know it.
func (s *server) problem(ctx context.Context, err error) api.Problem {
	gone := ctx.Err() != nil && errors.Is(err, ctx.Err())
	// what its asker may has changed, say
	if cause := context.Cause(ctx); gone && !errors.Is(cause, ctx.Err()) {
		err, gone = cause, false
	} else if gone {
		err = &compute.Error{Kind: compute.ErrFailed, Err: errHungUp}
	}
	// where the store is, and as whom it is asked, is for who runs the controller
	if away(err) && !asker(ctx).Own {
		s.log(ctx).Error("the store cannot be reached", "err", err, "hint", compute.Hint(err))
		err = errAway
	}
	p := api.NewProblem(err)
	switch {
	case p.Status != http.StatusInternalServerError:
	case gone:
		s.log(ctx).Debug("a request was given up", "err", err)
	default:
		s.log(ctx).Error("a request failed", "err", err)
	}
	if asker(ctx).Own {
		p = api.PlainProblem(err) // he has the log
	}
	p.Detail, p.ID = clipped(p.Detail), clipped(p.ID)
	went(ctx, p)
	p.Request, _ = ctx.Value(requestKey{}).(string)
	return p
}

// errAway is what users are told of a store that cannot be reached.
var errAway = &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("the store cannot be reached"),
	Hint: "try again soon; whoever runs the controller finds the reason in its log, by the id of this request"}

// away reports whether an error is of a store that is not there for now. Its text says where the
// store is.
func away(err error) bool {
	for e := (*compute.Error)(nil); errors.As(err, &e); err = e.Err {
		if (e.Op == "postgres" || e.Op == "state") && errors.Is(e.Kind, compute.ErrUnavailable) {
			return true
		}
	}
	return false
}

// errHungUp is what the audit log has of a request that nobody waits for any more.
var errHungUp = errors.New("whoever asked has hung up")

// refuse answers with an error, where huma does not.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problem(r.Context(), err)
	if p.Status == http.StatusForbidden && w.Header().Get("WWW-Authenticate") != "" {
		p.Status = http.StatusUnauthorized // nobody yet
	}
	answerProblem(w, p)
}

// refuseLarge answers as huma does to a body that is too large.
func (s *server) refuseLarge(w http.ResponseWriter, r *http.Request) {
	p := api.Problem{Detail: "request body is too large"}
	if e, ok := huma.NewError(
		http.StatusRequestEntityTooLarge, fmt.Sprintf("request body is too large limit=%d bytes", maxBody),
	).(*problem); ok {
		p = e.Problem
	}
	went(r.Context(), p)
	p.Request, _ = r.Context().Value(requestKey{}).(string)
	answerProblem(w, p)
}

func answerProblem(w http.ResponseWriter, p api.Problem) {
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // nobody is left to tell
}

// mostDetail is how many bytes of an error are told.
const mostDetail = 2000

// ourErrors gives what huma itself finds wrong with requests the form of all other errors. It is
// one function for the whole process.
var ourErrors = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true // "IMAGE" is no key of ours
	huma.NewErrorWithContext = func(c huma.Context, status int, text string, errs ...error) huma.StatusError {
		err := huma.NewError(status, text, errs...)
		if p, ok := err.(*problem); ok && c != nil {
			p.Request, _ = c.Context().Value(requestKey{}).(string)
			went(c.Context(), p.Problem)
		}
		return err
	}
	huma.NewError = func(status int, text string, errs ...error) huma.StatusError {
		p := api.Problem{Title: http.StatusText(status), Status: status, Code: "invalid", Detail: text}
		between := ": "
		for _, e := range errs {
			// the rest would be cut off, and looking for it among so much takes long
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

// wrong says what huma found wrong, and where. Of what the request brought along it repeats a short
// word and no more: the rest of a body may be long, and may be a secret that stands in the wrong
// place.
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

const mostRepeated = 100 // bytes of what a request says that an error has

// clipped is a text as it is told: what a request brought along comes back in it, and that may be
// long.
func clipped(text string) string {
	if len(text) <= mostDetail {
		return text
	}
	return strings.ToValidUTF8(text[:mostDetail], "") + " ..."
}
