package slapos

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
)

// guard serves the master of a controller. It identifies callers, refuses those that ask too often,
// and records requests in the audit log and the metrics.
type guard struct {
	o        *Options
	who      func(r *http.Request) (access.Who, auth.Principal, error)
	next     http.Handler
	requests *auth.RequestLog
}

func newGuard(o *Options, who func(r *http.Request) (access.Who, auth.Principal, error), next http.Handler) *guard {
	return &guard{o, who, next, auth.NewRequestLog(o.Audit.Add)}
}

// identified is the caller of a request, as the guard has identified it.
type identified struct {
	who access.Who
	as  auth.Principal
	err error
}

// known reports whether the caller of a request is known. A known caller may still be refused: it
// has a name then. A refused caller may present a token for a certificate, which the master checks
// later: until then it is not known, so that it cannot try many tokens.
func (a *identified) known(r *http.Request) bool {
	_, _, password := r.BasicAuth()
	return a.err == nil || a.as.Name != "" && !password && r.Header.Get("X-Access-Token") == ""
}

type identifiedKey struct{}

// callerOf returns the caller that the guard has identified.
func callerOf(r *http.Request) (access.Who, error) {
	if a, ok := r.Context().Value(identifiedKey{}).(*identified); ok {
		return a.who, a.err
	}
	// the zero Who may do nothing
	return access.Who{}, errors.New("a request that came by no guard")
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP identifies the caller, serves the request, and records it.
func (g *guard) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	begun, w, act := time.Now(), &statusWriter{ResponseWriter: to}, &access.Act{}
	found := &identified{}
	found.who, found.as, found.err = g.who(r)
	act.Who = found.who
	ctx := context.WithValue(access.WithAct(r.Context(), act), identifiedKey{}, found)
	g.serve(w, r.WithContext(ctx), found)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	route := cmp.Or(web.Route(r.URL.Path), "other")
	g.o.Observe(r.Method, path+"/"+route, w.status, time.Since(begun))
	g.audit(r, route, w.status, begun, found, act)
}

// serve serves a request, unless its caller makes too many.
func (g *guard) serve(w *statusWriter, r *http.Request, found *identified) {
	refuse := func(x auth.Excess) {
		w.Header().Set("Retry-After", x.Seconds())
		web.Refuse(w, r, http.StatusTooManyRequests, x.Text+". Ask again after "+x.Seconds()+" s.")
	}
	if found.known(r) {
		g.o.Limits.Known(found.as, refuse, func() {
			if !server.WasRefused(w, r) {
				g.next.ServeHTTP(w, r)
			}
		})
		return
	}
	const text = "Too many requests from here came with nothing that this master knows"
	g.o.Limits.Unknown(r, text, refuse, func() (failed bool) {
		if server.IsRefused(r) {
			web.Refuse(w, r, http.StatusUnauthorized, "Who sends so much has to be known.")
		} else {
			g.next.ServeHTTP(w, r)
		}
		return denied(w.status) && auth.HasCredentials(r)
	})
}

// asks is whoIs for the caller of a request, which may name the project in the header
// Hostler-Project.
func asks(p auth.Principal, r *http.Request, writes bool) (access.Who, auth.Principal, error) {
	if name := r.Header[http.CanonicalHeaderKey(api.ProjectHeader)]; len(name) > 0 {
		var ok bool
		if p, ok = p.Choose(name[0]); !ok {
			return access.Who{}, p, &access.Refusal{
				Kind: compute.ErrDenied, Text: "You are not in the project " + name[0] + ".",
				Detail: "ask an administrator for a role in it",
			}
		}
	}
	return whoIs(p, writes)
}

// whoIs returns what a caller is to the master. An administrator acts for everybody. Others are
// users with their own trees, in the chosen project or the only one where they may do this.
func whoIs(p auth.Principal, writes bool) (access.Who, auth.Principal, error) {
	refuse := func(text, hint string) (access.Who, auth.Principal, error) {
		return access.Who{}, p, &access.Refusal{Kind: compute.ErrDenied, Text: text, Detail: hint}
	}
	who := access.Who{Name: p.Name, Via: p.Via, Groups: strings.Join(p.Groups, "\n")}
	if p.Admin() {
		who.All, who.Project = true, p.Project
		return who, p, nil
	}
	what := auth.See
	if writes {
		what = auth.Use
	}
	if p.Source != "" || p.Lease != "" {
		return refuse("The token is for something else alone.", "ask for one that is for the project")
	}
	if !p.Chosen {
		home, ok := p.Home(what)
		if some, every := p.Projects(what); !ok && !every && len(some) > 1 {
			return refuse(
				"You are in several projects.",
				"name one by the header "+api.ProjectHeader+", or come with a token that is for one",
			)
		} else if ok {
			p.Project = home
		}
	}
	if !p.May(what, p.Project) {
		return refuse("You may not do this in the project.", "ask an administrator for a role in it")
	}
	who.User, who.Project = p.Name, p.Project
	return who, p, nil
}
