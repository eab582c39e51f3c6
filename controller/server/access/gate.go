package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
	"github.com/hostler-project/hostler/policy/fetch"
)

// Gate admits requests to their routes.
type Gate struct {
	// Authenticate returns the caller of a request. compute.ErrDenied: the caller is not known.
	Authenticate func(r *http.Request) (auth.Principal, error)
	Limits       *auth.Limits
	Rules        *Rules
	Audit        *Audit
	Errors       request.Errors

	underway underway
}

// Guard authenticates each request and checks its permission before it reaches next. A route that
// does not declare a permission is refused to everybody. All routes are in the table by now.
func (g *Gate) Guard(table *route.Table, next http.Handler) http.Handler {
	rules := table.Rules()
	g.underway.look = g.still
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := table.Pattern(r)
		rule, declared := rules[pattern]
		if route.IsOpen(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if rule.Needs == auth.Anyone {
			g.stranger(w, r, rule, next)
			return
		}
		p, err := g.Authenticate(r)
		switch {
		case errors.Is(err, compute.ErrDenied):
			g.unknown(w, r, err)
			return
		case err != nil:
			g.unauthenticated(w, r, err)
			return
		}
		if err := sameSite(r); err != nil {
			g.Errors.Refuse(w, r, err)
			return
		}
		g.Limits.Known(p, g.tooMany(w, r), func() { g.known(w, r, p, pattern, rule, declared, next) })
	})
}

// unknown refuses a caller that is not known. A request that presents nothing is no failure.
func (g *Gate) unknown(w http.ResponseWriter, r *http.Request, err error) {
	const text = "too many requests from here came with what this controller does not know"
	g.Limits.Unknown(r, text, g.tooMany(w, r), func() (failed bool) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		g.unauthenticated(w, r, err)
		return auth.HasCredentials(r)
	})
}

// unauthenticated answers a request whose caller cannot be told.
func (g *Gate) unauthenticated(w http.ResponseWriter, r *http.Request, err error) {
	a := request.Begin(r, "sign-in", auth.Principal{From: auth.RemoteHost(r)})
	g.Errors.Refuse(w, r.WithContext(request.WithEntry(r.Context(), a)), err)
	g.Audit.end(a, http.StatusUnauthorized)
}

// known serves a request of a known caller, if the caller has the permission. declared: the route
// says which.
func (g *Gate) known(
	w http.ResponseWriter, r *http.Request, p auth.Principal, pattern string, rule route.Rule, declared bool, next http.Handler,
) {
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	now := &going{r, p, end}
	g.underway.enter(now)
	defer g.underway.leave(now)
	asked, a := p, request.Begin(r, rule.Operation, p)
	r = r.WithContext(request.WithHold(request.WithEntry(ctx, a), func(bytes int) bool {
		free, ok := g.Limits.Hold(p, bytes)
		if ok {
			context.AfterFunc(ctx, free)
		}
		return ok
	}))
	defer func() {
		if seen, ok := w.(*request.Writer); ok && (rule.Act || a.Outcome == "denied") && declared {
			g.Audit.end(a, seen.Status())
		}
	}()
	if name := r.Header[api.ProjectHeader]; len(name) > 0 {
		ok := false
		if asked, ok = p.Choose(name[0]); !ok {
			g.Errors.Refuse(
				w, r,
				&compute.Error{Kind: compute.ErrDenied, Err: errors.New("you are not in the project " + name[0]), Hint: saysWho},
			)
			return
		}
	}
	by := fetch.Requester{Name: asked.Name, Via: asked.Via, From: auth.RemoteHost(r), Project: asked.Project, Operator: asked.Admin()}
	r = r.WithContext(request.WithCaller(fetch.WithRequester(r.Context(), by), asked))
	if kind, name := named(pattern, r.URL.Path); name != "" && rule.Act {
		project := ""
		if kind == "lease" || kind == "name" {
			project = g.Rules.ProjectOf(ctx, asked, rule.Needs, name)
		}
		a.About(project, name)
	}
	switch {
	case declared && !asked.Somewhere(rule.Needs):
		g.Errors.Refuse(w, r, Lacks(asked, rule.Needs))
	case !declared && pattern != route.Nowhere && pattern != "":
		g.Errors.Log.Error("a route that does not say which permission it needs is refused", "route", pattern)
		g.Errors.Refuse(w, r, &compute.Error{Kind: compute.ErrDenied, Err: errors.New(pattern + " does not say who may")})
	default:
		next.ServeHTTP(w, r)
	}
}

// sameSite refuses requests that a page of another site has a browser make: the browser would add
// its certificate and cookies, and perhaps a password. It never adds a token by itself. Other
// programs send no origin.
func sameSite(r *http.Request) error {
	if _, ok := auth.Bearer(r); ok {
		return nil
	}
	err := http.NewCrossOriginProtection().Check(r)
	if from := r.Header.Get("Origin"); err == nil && from != "" && request.WantsSocket(r) {
		if u, e := url.Parse(from); e != nil || u.Host != r.Host {
			err = errors.New(from + " is another origin")
		}
	}
	if err != nil {
		return &compute.Error{Kind: compute.ErrDenied, Err: fmt.Errorf("asked for by a page of another site: %w", err)}
	}
	return nil
}

// stranger serves a route that is open to everybody, such as a sign-in, and writes the outcome to
// the audit log. It counts proofs that are shown and refused, by address. To look is free, so that
// nobody shuts others at the same address out of the page.
func (g *Gate) stranger(w http.ResponseWriter, r *http.Request, rule route.Rule, next http.Handler) {
	const text = "too many requests from here came with nothing that this controller knows"
	serve := func() (failed bool) {
		a := request.Begin(r, rule.Operation, auth.Principal{From: auth.RemoteHost(r)})
		next.ServeHTTP(w, r.WithContext(request.WithEntry(r.Context(), a)))
		failed = a.Outcome == "denied"
		if seen, ok := w.(*request.Writer); ok && (a.Who != "" || failed || seen.Status() >= 400 && seen.Status() < 500) {
			g.Audit.end(a, seen.Status())
		}
		return failed
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		serve()
		return
	}
	g.Limits.Unknown(r, text, g.tooMany(w, r), serve)
}

// saysWho is the hint for a caller that lacks a permission.
const saysWho = "ask an administrator of the controller: projects/NAME/project.conf has who may what in a project"

// Lacks returns the refusal of a caller that lacks a permission.
func Lacks(p auth.Principal, what auth.Permission) error {
	text, hint := "your role does not have the permission "+what.String(), saysWho
	switch {
	case p.Lease != "":
		text, hint = "this is a lease's own token, which is for that lease alone", ""
	case what == auth.Others:
		text, hint = "only operators and administrators act on what is another's", ""
	case what == auth.Manage:
		text, hint = "that is for administrators", ""
	case p.Token != "" && (p.Everywhere != auth.Nobody || len(p.Roles) > 0):
		text = "this token goes no further than " + reach(p)
		hint = "`hostler token create` makes another, of at most what its owner may"
	case p.Everywhere == auth.Nobody && len(p.Roles) == 0:
		text, hint = p.Name+" is in no project of this controller", "ask its administrators: projects/NAME/project.conf has the members"
	}
	return &compute.Error{Kind: compute.ErrDenied, Err: errors.New(text), Hint: hint}
}

// reach says how far a token goes in the project that its caller has chosen.
func reach(p auth.Principal) string {
	if p.Only != 0 {
		return "the permission " + p.Only.String()
	}
	return max(p.Everywhere, p.Roles[p.Project]).String()
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

// tooMany refuses a request of a caller that asks too often, and says when to ask again.
func (g *Gate) tooMany(w http.ResponseWriter, r *http.Request) func(auth.Excess) {
	return func(x auth.Excess) {
		w.Header().Set("Retry-After", x.Seconds())
		g.Errors.Refuse(
			w, r,
			&compute.Error{
				Kind: compute.ErrNoCapacity, Err: tooMany(x.Text),
				Hint: "ask again after " + (x.Wait.Round(time.Second) + time.Second).String(),
			},
		)
	}
}

type tooMany string

func (t tooMany) Error() string { return string(t) }
