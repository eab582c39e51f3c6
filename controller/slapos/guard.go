package slapos

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
)

// Limits on refusals in the audit log, a second and at once: for known callers, and for unknown
// ones.
const (
	refusals, refusalsAtOnce   = 5, 200
	strangers, strangersAtOnce = 0.2, 50
)

// guard serves the master of a controller. It identifies callers, refuses those that ask too often,
// and records requests in the audit log and the metrics.
type guard struct {
	o        *Options
	who      func(r *http.Request) (access.Who, auth.Principal, error)
	next     http.Handler
	refused  *rate.Limiter // limits refusals of known callers in the audit log
	stranger *rate.Limiter // the same for unknown callers
}

func newGuard(o *Options, who func(r *http.Request) (access.Who, auth.Principal, error), next http.Handler) *guard {
	return &guard{
		o, who, next, rate.NewLimiter(refusals, refusalsAtOnce),
		rate.NewLimiter(strangers, strangersAtOnce),
	}
}

// asked is the caller of a request, as the guard has identified it.
type asked struct {
	who access.Who
	as  auth.Principal
	err error
}

type askedKey struct{}

// askerOf returns the caller that the guard has identified.
func askerOf(r *http.Request) (access.Who, error) {
	if a, ok := r.Context().Value(askedKey{}).(*asked); ok {
		return a.who, a.err
	}
	// the zero Who may do nothing
	return access.Who{}, errors.New("a request that came by no guard")
}

// seenWriter remembers the status of an answer.
type seenWriter struct {
	http.ResponseWriter
	status int
}

func (w *seenWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *seenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP identifies the caller, serves the request, and records it.
func (g *guard) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	begun, w, act := time.Now(), &seenWriter{ResponseWriter: to}, &access.Act{}
	found := &asked{}
	found.who, found.as, found.err = g.who(r)
	act.Who = found.who
	ctx := context.WithValue(access.WithAct(r.Context(), act), askedKey{}, found)
	g.serve(w, r.WithContext(ctx), found)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	route := cmp.Or(web.Route(r.URL.Path), "other")
	g.o.Observe(r.Method, path+"/"+route, w.status, time.Since(begun))
	g.keep(r, route, w.status, begun, found, act)
}

// serve serves a request, unless its caller makes too many.
func (g *guard) serve(w http.ResponseWriter, r *http.Request, found *asked) {
	limits, from := g.o.Limits, auth.RemoteHost(r)
	if found.err != nil { // also callers with a token for a certificate, which the master checks
		if wait, ok := limits.Stranger(from); !ok {
			tooMany(w, r, wait, "Too many requests from here came with nothing that this master knows.")
			return
		}
		seen := &seenWriter{ResponseWriter: w}
		if server.IsRefused(r) {
			web.Refuse(seen, r, http.StatusUnauthorized, "Who sends so much has to be known.")
		} else {
			g.next.ServeHTTP(seen, r)
		}
		if (seen.status == http.StatusForbidden || seen.status == http.StatusUnauthorized) &&
			(r.TLS != nil && len(r.TLS.PeerCertificates) > 0 || r.Header.Get("Authorization") != "" ||
				r.Header.Get("X-Access-Token") != "") {
			limits.Failed(from)
		}
		return
	}
	if wait, ok := limits.Request(found.as); !ok {
		tooMany(w, r, wait, found.as.Name+" makes too many requests.")
		return
	}
	leave, ok := limits.Enter(found.as)
	if !ok {
		tooMany(w, r, time.Second, found.as.Name+" has too many requests that are being served, or that wait.")
		return
	}
	defer leave()
	if !server.WasRefused(w, r) {
		g.next.ServeHTTP(w, r)
	}
}

func tooMany(w http.ResponseWriter, r *http.Request, wait time.Duration, text string) {
	seconds := int((wait + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	web.Refuse(w, r, http.StatusTooManyRequests, text+" Ask again after "+strconv.Itoa(seconds)+" s.")
}

// keep writes changes and refusals to the audit log.
func (g *guard) keep(r *http.Request, route string, status int, begun time.Time, found *asked, act *access.Act) {
	denied := status == http.StatusForbidden || status == http.StatusUnauthorized
	if !act.Changed && !denied {
		return
	}
	a := auth.Act{
		Time: begun, Who: found.as.Name, Via: found.as.Via, From: found.as.From, Project: act.Who.Project,
		Act: "slapos." + strings.TrimPrefix(route, "slapos."), Thing: act.Thing, Outcome: "done",
	}
	if a.From == "" && !found.as.Here {
		a.From = auth.RemoteHost(r)
	}
	// identified by the token that it presented for a certificate
	if found.err != nil && act.Who.Name != "" {
		a.Who, a.Via = act.Who.Name, act.Who.Via
	}
	if a.Who != "" {
		a.Reason = strings.ToValidUTF8(r.Header.Get(api.ReasonHeader), "?")
	}
	switch {
	case !act.Changed:
		a.Outcome = "denied"
	case status == http.StatusNotFound:
		a.Outcome = "no-capacity" // a request without a place is kept
	case status >= 400:
		a.Outcome = "failed"
	}
	if a.Outcome == "denied" {
		few := g.refused
		if a.Who == "" {
			few = g.stranger
		}
		if !few.Allow() {
			return
		}
	}
	for _, text := range []*string{&a.Thing, &a.Reason} {
		if len(*text) > maxWords {
			*text = strings.ToValidUTF8((*text)[:maxWords], "") + "..."
		}
	}
	g.o.Audit.Add(a)
}

// maxWords is the longest text of a request in the audit log, in bytes.
const maxWords = 1000

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
