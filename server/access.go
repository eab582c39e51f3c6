package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

// permission is the part of an operation's description that says which permission its route needs. Without it the route is refused to everybody.
const permission = "x-permission"

// needs declares the permission that a route needs: Extensions: needs(auth.See). Each operation of the API says so, also those of handlers that huma
// does not serve, such as WebSockets, which are described by AddOperation.
func needs(p auth.Permission) map[string]any { return map[string]any{permission: p} }

// rights are the permissions that routes need, by the patterns of the mux.
func rights(doc *huma.OpenAPI) map[string]auth.Permission {
	out := map[string]auth.Permission{}
	for path, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Options, item.Head, item.Patch, item.Trace} {
			if op == nil {
				continue
			}
			if p, ok := op.Extensions[permission].(auth.Permission); ok && p.Single() {
				out[strings.ToUpper(op.Method)+" "+path] = p
			}
		}
	}
	return out
}

// open are the paths that need nobody and are not of the API.
var open = map[string]bool{"/openapi.json": true, "/openapi.yaml": true, "/openapi-3.0.json": true, "/openapi-3.0.yaml": true, "/healthz": true, "/readyz": true}

type principalKey struct{}

// guard lets nobody through who may not, whatever the path, and nobody at all where a route does not say what it needs.
func (s *server) guard(mux *http.ServeMux, next http.Handler) http.Handler {
	need := rights(s.api.OpenAPI())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := mux.Handler(r)
		what, declared := need[pattern]
		if open[r.URL.Path] || what == auth.Anyone {
			next.ServeHTTP(w, r)
			return
		}
		p, err := s.Authenticate(r)
		if err != nil {
			if errors.Is(err, compute.ErrDenied) {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			s.refuse(w, r, err)
			return
		}
		ctx, end := context.WithCancelCause(r.Context())
		defer end(nil)
		again := time.AfterFunc(recheck, func() { s.recheck(ctx, r, p, end) })
		defer again.Stop()
		asked := p
		if name := r.Header[api.ProjectHeader]; len(name) > 0 {
			ok := false
			if asked, ok = p.Choose(name[0]); !ok {
				s.refuse(w, r, &compute.Error{Kind: compute.ErrDenied, Err: errors.New("you are not in the project " + name[0]), Hint: "GET /v1/self says in which you are"})
				return
			}
		}
		r = r.WithContext(context.WithValue(ctx, principalKey{}, asked))
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

// recheck looks from time to time whether a request that takes long, such as a stream, may still be made by whom it was made, and ends it if not: a token may
// be revoked in the midst of it, or its owner be put out of a project.
func (s *server) recheck(ctx context.Context, r *http.Request, was auth.Principal, end context.CancelCauseFunc) {
	t := time.NewTicker(recheck)
	defer t.Stop()
	for {
		now, err := s.Authenticate(r)
		if errors.Is(err, compute.ErrDenied) || err == nil && !was.Same(now) {
			s.log(ctx).Info("a request is ended, as what its asker may has changed", "who", was.Name, "via", was.Via, "path", r.URL.Path)
			end(&compute.Error{Kind: compute.ErrDenied, Err: errors.New("what you may has changed"), Hint: "ask again"})
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// nowhere is the pattern of all paths that there are not.
const nowhere = "/"

// lacks is the refusal of somebody who has not the permission.
func lacks(p auth.Principal, what auth.Permission) error {
	text, hint := "your role does not have the permission "+what.String(), "hostler token list and GET /v1/self say what you may"
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

// asker is who makes a request.
func asker(ctx context.Context) auth.Principal {
	p, _ := ctx.Value(principalKey{}).(auth.Principal) // guard lets nobody through without
	return p
}
