package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Problem is an error in the form of RFC 9457. Programs use Code, which is stable; Detail is for
// people.
type Problem struct {
	Title  string `json:"title" doc:"Title of the kind of problem, for people"`
	Status int    `json:"status" doc:"HTTP status"`
	Code   string `json:"code" doc:"Kind of problem, for programs: failed, unavailable, invalid, no-capacity, too-large, timeout, not-found, conflict, not-leased, stale, not-ready, denied"`
	Detail string `json:"detail" doc:"What happened, and to which thing"`
	Hint   string `json:"hint,omitempty" doc:"What the user can do"`
	ID     string `json:"id,omitempty" doc:"ID of the instance or the source"`

	Lines []string `json:"lines,omitempty" doc:"Each thing that is wrong, if there are several. The detail has all of them."`

	Ended   bool   `json:"ended,omitempty" doc:"The computer itself has ended, and that is the cause. Nothing of it comes back."`
	Request string `json:"request,omitempty" doc:"ID of the request, as in the controller's log"`
}

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// kind is a kind of error with its code and HTTP status.
type kind struct {
	kind   *compute.Kind
	code   string
	status int
}

// kinds lists the kinds, finer ones before their parents.
var kinds = []kind{
	{compute.ErrTooLarge, "too-large", http.StatusTooManyRequests},
	{compute.ErrNotLeased, "not-leased", http.StatusConflict},
	{compute.ErrStale, "stale", http.StatusConflict},
	{compute.ErrNotReady, "not-ready", http.StatusServiceUnavailable},
	{compute.ErrInvalid, "invalid", http.StatusBadRequest},
	{compute.ErrNoCapacity, "no-capacity", http.StatusTooManyRequests},
	{compute.ErrTimeout, "timeout", http.StatusRequestTimeout},
	{compute.ErrNotFound, "not-found", http.StatusNotFound},
	{compute.ErrConflict, "conflict", http.StatusConflict},
	{compute.ErrDenied, "denied", http.StatusForbidden},
	{compute.ErrUnavailable, "unavailable", http.StatusServiceUnavailable},
	{compute.ErrFailed, "failed", http.StatusInternalServerError},
}

// NewProblem makes the document of an error. An error without a kind is internal, and its text is
// left out.
func NewProblem(err error) Problem {
	p := PlainProblem(err)
	if !known(err) {
		p.Detail, p.ID, p.Lines = "an internal error; the controller's log has more", "", nil
	}
	return p
}

// PlainProblem makes the document of any error with its whole text, for callers that may read the
// log.
func PlainProblem(err error) Problem {
	if late(err) {
		err = &compute.Error{Kind: compute.ErrTimeout, Err: err}
	}
	p := Problem{Title: compute.ErrFailed.Error(), Status: http.StatusInternalServerError, Code: "failed",
		Detail: Text(err), Hint: compute.Hint(err),
		Ended: errors.Is(err, compute.ErrEnded)}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			p.Title, p.Status, p.Code, p.Lines = k.kind.Error(), k.status, k.code, lines(err, k.kind)
			break
		}
	}
	for _, e := range Apart(err) {
		p.Hint = cmp.Or(p.Hint, compute.Hint(e))
	}
	var e *compute.Error
	if errors.As(err, &e) {
		p.ID = string(e.ID)
	}
	return p
}

// lines returns the texts of several joined errors if they are all of one kind; otherwise nil.
func lines(err error, kind error) (out []string) {
	all := Apart(err)
	for _, e := range all {
		if _, ours := e.(*compute.Error); !ours || len(all) == 1 || !errors.Is(e, kind) {
			return nil
		}
		out = append(out, Text(e))
	}
	return out
}

// known reports whether an error has a kind.
func known(err error) bool {
	return late(err) || slices.ContainsFunc(kinds, func(k kind) bool { return errors.Is(err, k.kind) })
}

func late(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, compute.ErrTimeout)
}

// Err returns the error of a document. errors.Is finds its kind, and whether the computer has
// ended. Its Text is that of the original.
func (p Problem) Err() error {
	if len(p.Lines) > 0 {
		var all []error
		for n, line := range p.Lines {
			one := Problem{Title: p.Title, Status: p.Status, Code: p.Code, Detail: line, ID: p.ID, Ended: p.Ended}
			if n == len(p.Lines)-1 {
				one.Hint = p.Hint
			}
			all = append(all, one.Err())
		}
		return errors.Join(all...)
	}
	e := &compute.Error{Kind: compute.ErrFailed, Err: errors.New(p.Detail), Hint: p.Hint}
	if p.Detail == "" {
		e.Err = errors.New(p.Title)
	}
	if rest, ok := strings.CutPrefix(p.Detail, p.ID+": "); ok && p.ID != "" {
		e.ID, e.Err = compute.ID(p.ID), errors.New(rest)
	}
	if p.Ended {
		e.Err = compute.Ended(e.Err)
	}
	for _, k := range kinds {
		if k.code == p.Code {
			e.Kind = k.kind
			return e
		}
	}
	for _, k := range kinds { // the code is of another version, or a proxy answered
		if k.status == p.Status {
			e.Kind = k.kind
		}
	}
	if p.Status == http.StatusUnauthorized {
		e.Kind = compute.ErrDenied
	}
	return e
}
