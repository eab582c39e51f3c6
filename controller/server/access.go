package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy/fetch"
)

// permission is the extension of an operation's description that names the permission of its route.
// A route without it is refused to everybody.
const permission = "x-permission"

// needs declares the permission that a route needs, as in Extensions: needs(auth.See). Every
// operation needs it. That includes routes that huma does not serve, such as WebSockets, which are
// described by AddOperation.
func needs(p auth.Permission) map[string]any { return map[string]any{permission: p} }

// rights returns what each route needs, by the patterns of the mux.
func rights(doc *huma.OpenAPI) map[string]right {
	out := map[string]right{}
	for path, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Options, item.Head, item.Patch, item.Trace} {
			if op == nil {
				continue
			}
			if p, ok := op.Extensions[permission].(auth.Permission); ok && p.Single() {
				out[strings.ToUpper(op.Method)+" "+path] = right{p, op.OperationID, isAct(op, p)}
			}
		}
	}
	return out
}

// right is the permission of a route, its operation id, and whether it changes something.
type right struct {
	what auth.Permission
	id   string
	act  bool
}

// open holds the paths outside the API that anybody may ask for.
var open = map[string]bool{
	"/openapi.json": true, "/openapi.yaml": true, "/openapi-3.0.json": true, "/openapi-3.0.yaml": true, "/healthz": true,
	"/readyz": true,
}

type principalKey struct{}

// guard authenticates each request and checks its permission before it reaches a handler. A route
// that does not declare a permission is refused to everybody.
func (s *server) guard(mux *http.ServeMux, next http.Handler) http.Handler {
	need := rights(s.api.OpenAPI())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := routeOf(mux, r)
		route, declared := need[pattern]
		what := route.what
		if open[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		if what == auth.Anyone {
			s.stranger(w, r, route, next)
			return
		}
		from := address(r)
		p, err := s.Authenticate(r)
		if err != nil {
			a := s.begin(r, "sign-in", auth.Principal{From: from})
			r = r.WithContext(context.WithValue(r.Context(), actKey{}, a))
			if errors.Is(err, compute.ErrDenied) {
				// A known caller is served whatever other callers at its address do, as it may be
				// that of a proxy. A request that presents nothing is not counted.
				if wait, ok := s.Limits.Stranger(from); !ok {
					s.tooMany(w, r, wait, "too many requests from here came with what this controller does not know")
					return
				}
				if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
					s.Limits.Failed(from)
				}
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			s.refuse(w, r, err)
			s.end(a, http.StatusUnauthorized)
			return
		}
		if err := sameSite(r); err != nil {
			s.refuse(w, r, err)
			return
		}
		if wait, ok := s.Limits.Request(p); !ok {
			s.tooMany(w, r, wait, p.Name+" makes too many requests")
			return
		}
		leave, ok := s.Limits.Enter(p)
		if !ok {
			s.tooMany(w, r, time.Second, p.Name+" has too many requests that are being served, or that wait")
			return
		}
		defer leave()
		ctx, end := context.WithCancelCause(r.Context())
		defer end(nil)
		g := &going{r, p, end}
		s.underway.enter(g)
		defer s.underway.leave(g)
		asked, a := p, s.begin(r, route.id, p)
		r = r.WithContext(context.WithValue(ctx, actKey{}, a))
		defer func() {
			if seen, ok := w.(*answered); ok && (route.act || a.Outcome == "denied") && declared {
				s.end(a, seen.status)
			}
		}()
		if name := r.Header[api.ProjectHeader]; len(name) > 0 {
			ok := false
			if asked, ok = p.Choose(name[0]); !ok {
				s.refuse(
					w, r,
					&compute.Error{Kind: compute.ErrDenied, Err: errors.New("you are not in the project " + name[0]), Hint: saysWho},
				)
				return
			}
		}
		r = r.WithContext(context.WithValue(
			fetch.For(
				r.Context(),
				fetch.Asker{Name: asked.Name, Via: asked.Via, From: from, Project: asked.Project, Operator: asked.Admin()},
			),
			principalKey{}, asked,
		))
		if kind, name := named(pattern, r.URL.Path); name != "" && route.act {
			a.Thing = name
			if kind == "lease" || kind == "name" {
				a.Project = s.projectOf(ctx, asked, what, name)
			}
		}
		switch {
		case declared && !asked.Somewhere(what):
			s.refuse(w, r, lacks(asked, what))
		case !declared && pattern != nowhere && pattern != "":
			s.Log.Error("a route that does not say which permission it needs is refused", "route", pattern)
			s.refuse(w, r, &compute.Error{Kind: compute.ErrDenied, Err: errors.New(pattern + " does not say who may")})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// sameSite refuses requests that a page of another site has a browser make: the browser would add
// its certificate and cookies. Other programs send no origin, and a token in a header is never
// automatic.
func sameSite(r *http.Request) error {
	if r.Header.Get("Authorization") != "" {
		return nil
	}
	err := http.NewCrossOriginProtection().Check(r)
	if from := r.Header.Get("Origin"); err == nil && from != "" && isSocket(r) {
		if u, e := url.Parse(from); e != nil || u.Host != r.Host {
			err = errors.New(from + " is another origin")
		}
	}
	if err != nil {
		return &compute.Error{Kind: compute.ErrDenied, Err: fmt.Errorf("asked for by a page of another site: %w", err)}
	}
	return nil
}

// stranger serves a route that is open to everybody, such as a sign-in. It counts failures by
// address, and writes the outcome to the audit log.
func (s *server) stranger(w http.ResponseWriter, r *http.Request, route right, next http.Handler) {
	from := address(r)
	if wait, ok := s.Limits.Stranger(from); !ok {
		s.tooMany(w, r, wait, "too many requests from here came with nothing that this controller knows")
		return
	}
	a := s.begin(r, route.id, auth.Principal{From: from})
	next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), actKey{}, a)))
	seen, ok := w.(*answered)
	refused := a.Outcome == "denied" || ok && seen.status >= 400 && seen.status < 500
	if refused {
		s.Limits.Failed(from)
	}
	if ok && (a.Who != "" || refused) {
		s.end(a, seen.status)
	}
}

// nowhere is the pattern that matches every path without a route.
const nowhere = "/"

// saysWho is the hint for a caller that lacks a permission.
const saysWho = "ask an administrator of the controller: projects/NAME/project.conf has who may what in a project"

// lacks returns the refusal of a caller that lacks a permission.
func lacks(p auth.Principal, what auth.Permission) error {
	text, hint := "your role does not have the permission "+what.String(), saysWho
	switch {
	case p.Lease != "":
		text, hint = "this is a lease's own token, which is for that lease alone", ""
	case what == auth.Others:
		text, hint = "only operators and administrators act on what is another's", ""
	case what == auth.Manage:
		text, hint = "that is for administrators", ""
	case p.Everywhere == auth.Nobody && len(p.Roles) == 0:
		text, hint = p.Name+" is in no project of this controller", "ask its administrators: projects/NAME/project.conf has the members"
	}
	return &compute.Error{Kind: compute.ErrDenied, Err: errors.New(text), Hint: hint}
}

// asker returns the caller of a request.
func asker(ctx context.Context) auth.Principal {
	p, _ := ctx.Value(principalKey{}).(auth.Principal) // guard has set it
	return p
}
