package controller

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
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/web"
)

// How many refusals are written to the audit log a second, and at once: of those who are known, and
// of strangers.
const (
	slaposRefusals, slaposRefusalsAtOnce   = 5, 200
	slaposStrangers, slaposStrangersAtOnce = 0.2, 50
)

// slaposGuard stands before the master of a controller: it knows who asks, holds who asks too
// often, and keeps what is done in the audit log and the figures.
type slaposGuard struct {
	k        *Controller
	who      func(r *http.Request) (master.Who, auth.Principal, error)
	next     http.Handler
	refused  *rate.Limiter // what is written of refusals
	stranger *rate.Limiter
}

func (k *Controller) guardSlapos(who func(r *http.Request) (master.Who, auth.Principal, error), next http.Handler) *slaposGuard {
	return &slaposGuard{
		k, who, next, rate.NewLimiter(slaposRefusals, slaposRefusalsAtOnce),
		rate.NewLimiter(slaposStrangers, slaposStrangersAtOnce),
	}
}

// slaposAsked is who makes a request, as the guard has found.
type slaposAsked struct {
	who master.Who
	as  auth.Principal
	err error
}

type slaposAskedKey struct{}

// slaposAsker is who the guard has found.
func slaposAsker(r *http.Request) (master.Who, error) {
	if a, ok := r.Context().Value(slaposAskedKey{}).(*slaposAsked); ok {
		return a.who, a.err
	}
	// the zero Who may do nothing
	return master.Who{}, errors.New("a request that came by no guard")
}

// slaposSeen is a writer that remembers the status.
type slaposSeen struct {
	http.ResponseWriter
	status int
}

func (w *slaposSeen) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *slaposSeen) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (g *slaposGuard) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	begun, w, act := time.Now(), &slaposSeen{ResponseWriter: to}, &master.Act{}
	asked := &slaposAsked{}
	asked.who, asked.as, asked.err = g.who(r)
	act.Who = asked.who
	ctx := context.WithValue(master.WithAct(r.Context(), act), slaposAskedKey{}, asked)
	g.serve(w, r.WithContext(ctx), asked)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	route := cmp.Or(web.Route(r.URL.Path), "other")
	g.k.meters.asked(r.Method, slaposPath+"/"+route, w.status, time.Since(begun))
	g.keep(r, route, w.status, begun, asked, act)
}

// serve has a request served, unless there are too many from who makes it.
func (g *slaposGuard) serve(w http.ResponseWriter, r *http.Request, asked *slaposAsked) {
	limits, from := g.k.limits, Address(r)
	if asked.err != nil { // also who comes with a token for a certificate, which the master knows
		if wait, ok := limits.Stranger(from); !ok {
			slaposTooMany(w, r, wait, "Too many requests from here came with nothing that this master knows.")
			return
		}
		seen := &slaposSeen{ResponseWriter: w}
		g.next.ServeHTTP(seen, r)
		if (seen.status == http.StatusForbidden || seen.status == http.StatusUnauthorized) &&
			(r.TLS != nil && len(r.TLS.PeerCertificates) > 0 || r.Header.Get("Authorization") != "" ||
				r.Header.Get("X-Access-Token") != "") {
			limits.Failed(from)
		}
		return
	}
	if wait, ok := limits.Request(asked.as); !ok {
		slaposTooMany(w, r, wait, asked.as.Name+" makes too many requests.")
		return
	}
	leave, ok := limits.Enter(asked.as)
	if !ok {
		slaposTooMany(w, r, time.Second, asked.as.Name+" has too many requests that are being served, or that wait.")
		return
	}
	defer leave()
	g.next.ServeHTTP(w, r)
}

func slaposTooMany(w http.ResponseWriter, r *http.Request, wait time.Duration, text string) {
	seconds := int((wait + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	web.Refuse(w, r, http.StatusTooManyRequests, text+" Ask again after "+strconv.Itoa(seconds)+" s.")
}

// keep writes to the audit log what was changed, and what was refused to whom.
func (g *slaposGuard) keep(r *http.Request, route string, status int, begun time.Time, asked *slaposAsked, act *master.Act) {
	denied := status == http.StatusForbidden || status == http.StatusUnauthorized
	if !act.Changed && !denied {
		return
	}
	a := auth.Act{
		Time: begun, Who: asked.as.Name, Via: asked.as.Via, From: asked.as.From, Project: act.Who.Project,
		Act: "slapos." + strings.TrimPrefix(route, "slapos."), Thing: act.Thing, Outcome: "done",
	}
	if a.From == "" && !asked.as.Here {
		a.From = Address(r)
	}
	// known by the token that it showed for a certificate
	if asked.err != nil && act.Who.Name != "" {
		a.Who, a.Via = act.Who.Name, act.Who.Via
	}
	if a.Who != "" {
		a.Reason = strings.ToValidUTF8(r.Header.Get(api.ReasonHeader), "?")
	}
	switch {
	case !act.Changed:
		a.Outcome = "denied"
	case status == http.StatusNotFound:
		a.Outcome = "no-capacity" // what there is no place for is kept
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
		if len(*text) > slaposWords {
			*text = strings.ToValidUTF8((*text)[:slaposWords], "") + "..."
		}
	}
	g.k.audit.Add(a)
}

// slaposWords is how much of what a request is about is kept, in bytes.
const slaposWords = 1000

// slaposAsks is slaposWho for who makes a request, which may name the project by the header
// Hostler-Project.
func slaposAsks(p auth.Principal, r *http.Request, writes bool) (master.Who, auth.Principal, error) {
	if name := r.Header[http.CanonicalHeaderKey(api.ProjectHeader)]; len(name) > 0 {
		var ok bool
		if p, ok = p.Choose(name[0]); !ok {
			return master.Who{}, p, &master.Refusal{
				Kind: compute.ErrDenied, Text: "You are not in the project " + name[0] + ".",
				Detail: "ask an administrator for a role in it",
			}
		}
	}
	return slaposWho(p, writes)
}

// slaposWho is whom the master takes somebody for: an administrator for everybody, others for users
// with trees of their own, in the project that they have chosen, or else the only one where they
// may.
func slaposWho(p auth.Principal, writes bool) (master.Who, auth.Principal, error) {
	refuse := func(text, hint string) (master.Who, auth.Principal, error) {
		return master.Who{}, p, &master.Refusal{Kind: compute.ErrDenied, Text: text, Detail: hint}
	}
	who := master.Who{Name: p.Name, Via: p.Via, Groups: strings.Join(p.Groups, "\n")}
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
