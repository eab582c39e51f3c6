// Package login signs people in: a browser at the page of an OpenID Connect provider, a terminal
// with what the provider gave it. Both get a session, which is a token; a browser keeps it in a
// cookie.
package login

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/auth/signin"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
)

// SignIn says how people sign in, by the current configuration.
type SignIn struct {
	Provider *signin.Provider // nil: signing in is off
	// the controller's address for browsers, https://HOST, if their own view of it is not right;
	// "": as they say
	Address  string
	Life     time.Duration // the life of the token of hostler login
	PageLife time.Duration // the life of a browser's session
}

// Sessions makes the tokens of people who have signed in.
type Sessions interface {
	// Make stores a token as described, and returns its text.
	Make(ctx context.Context, t *auth.Token, life time.Duration) (secret string, err error)
	// Revoke ends a token and all tokens made with it, if may agrees.
	Revoke(ctx context.Context, id string, may func(*auth.Token) error) (gone []*auth.Token, err error)
}

const (
	tripLife = 10 * time.Minute // how long a browser may stay at the provider's page
	maxProof = 64 << 10         // bytes of a proof that a stranger presents
	// sign-ins at once, as anybody may ask and each may ask the provider
	exchanges = 16
)

// The browser's cookies. With TLS their names begin with hostPrefix, so that no other host can set
// them.
const (
	hostPrefix    = "__Host-"
	sessionCookie = "hostler-session"
	tripCookie    = "hostler-signing-in"
)

// Login signs people in.
type Login struct {
	Options
	entering chan struct{} // one slot for each sign-in at once
	leaving  chan struct{} // one slot for each browser being sent to the provider
}

// Options connect a Login to its surroundings.
type Options struct {
	// SignIn says how people sign in, and Sessions makes their tokens. nil: they do not.
	SignIn   func() SignIn
	Sessions Sessions
	// Spend notes that a proof was presented. The second time it fails with compute.ErrDenied. nil:
	// a proof is valid until it is too old.
	Spend  func(ctx context.Context, proof string) error
	Errors request.Errors
}

// New returns a Login.
func New(o Options) *Login {
	return &Login{Options: o, entering: make(chan struct{}, exchanges), leaving: make(chan struct{}, exchanges)}
}

// Add adds the routes by which people sign in and out.
func (s *Login) Add(t *route.Table) {
	route.Add(t, huma.Operation{
		OperationID: "how-to-sign-in", Extensions: route.Needs(auth.Anyone), Method: http.MethodGet, Path: "/v1/login",
		Summary: "How people sign in", Tags: []string{"people"},
		Security: []map[string][]string{{}},
	}, func(context.Context, *struct{}) (*struct{ Body api.SignIn }, error) {
		out := api.SignIn{Scopes: []string{}}
		if p := s.signIn().Provider; p != nil {
			out = api.SignIn{Issuer: p.Issuer, ClientID: p.LoginClientID, Scopes: p.Scopes}
		}
		return &struct{ Body api.SignIn }{out}, nil
	})
	route.Add(t, huma.Operation{
		OperationID: "sign-in", Extensions: route.Needs(auth.Anyone), Method: http.MethodPost, Path: "/v1/login",
		MaxBodyBytes: maxProof, Summary: "Show what the provider says, and get a token", Tags: []string{"people"},
		Description: "The ID token is that of the client of GET /v1/login, was given within the last 10 minutes, and is good once.",
		Security:    []map[string][]string{{}}, Errors: []int{400, 403, 429, 503},
	}, func(ctx context.Context, in *struct{ Body api.Proof }) (*struct{ Body api.Session }, error) {
		proof := signin.Proof{IDToken: in.Body.IDToken, AccessToken: in.Body.AccessToken, Verifier: in.Body.Verifier}
		out, err := s.enter(ctx, s.signIn().Life, func(p *signin.Provider) (signin.User, error) { return p.Verify(ctx, proof) })
		return &struct{ Body api.Session }{out}, err
	})
	for _, page := range []struct {
		id, method, path, summary string
		needs                     auth.Permission
		handler                   http.HandlerFunc
	}{
		{
			"open-session", http.MethodPost, "/v1/session",
			"Have the browser keep the token that comes with this request, in a cookie", auth.Known, s.openSession,
		},
		{"sign-out", http.MethodDelete, "/v1/session", "Sign out: end the session, and have the browser forget it", auth.Known, s.signOut},
		{"login-page", http.MethodGet, "/login", "Sign in with a browser: goes to the provider's page", auth.Anyone, s.leave},
		{"login-callback", http.MethodGet, "/login/callback", "Where the provider's page sends a browser back to", auth.Anyone, s.comeBack},
	} {
		op := &huma.Operation{
			OperationID: page.id, Extensions: route.Needs(page.needs), Method: page.method, Path: page.path,
			Summary: page.summary, Tags: []string{"people"},
			Responses: map[string]*huma.Response{"default": {Description: "the answer, or an error"}},
		}
		if page.needs == auth.Anyone {
			op.Security = []map[string][]string{{}}
		}
		t.AddRaw(op, page.handler)
	}
}

// signIn returns how people sign in now; the zero SignIn if they do not.
func (s *Login) signIn() SignIn {
	if s.SignIn == nil || s.Sessions == nil {
		return SignIn{}
	}
	return s.SignIn()
}

// enter verifies a sign-in and makes a session of the given life.
func (s *Login) enter(ctx context.Context, life time.Duration, verify func(*signin.Provider) (signin.User, error)) (api.Session, error) {
	p := s.signIn().Provider
	if p == nil {
		return api.Session{}, &compute.Error{
			Kind: compute.ErrInvalid, Err: errors.New("nobody signs in to this controller: it knows no provider"),
			Hint: "present a token or a certificate",
		}
	}
	select {
	case s.entering <- struct{}{}:
		defer func() { <-s.entering }()
	default:
		return api.Session{}, &compute.Error{
			Kind: compute.ErrNoCapacity, Err: errors.New("too many sign in at once"), Hint: "try again in a moment",
		}
	}
	who, err := verify(p)
	if err != nil {
		s.Errors.Log.Info("a sign-in is refused", "err", err, "cause", signin.Cause(err))
		return api.Session{}, err
	}
	if s.Spend != nil {
		if err := s.Spend(ctx, who.Proof); err != nil {
			s.Errors.Log.Warn("a sign-in is shown twice", "owner", who.Name, "err", err)
			return api.Session{}, err
		}
	}
	t := &auth.Token{
		Kind: auth.Session, Name: "signed in at " + p.Issuer + " as " + clean(who.Subject), Owner: who.Name,
		Groups: who.Groups,
	}
	secret, err := s.Sessions.Make(ctx, t, life)
	if err != nil {
		return api.Session{}, err
	}
	request.Known(ctx, who.Name, "session "+t.ID)
	s.Errors.Log.Info("signed in", "owner", who.Name, "subject", who.Subject, "session", t.ID)
	return api.Session{Token: secret, Name: who.Name, Expires: t.Expires}, nil
}

// clean replaces what cannot be shown in a provider's word, and shortens it.
func clean(word string) string {
	out := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, word)
	return out[:min(len(out), 100)]
}

// secure reports whether a browser uses TLS, to this server or to a proxy before it.
func (s *Login) secure(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(s.signIn().Address, "https://")
}

// cookie makes a cookie. Life 0: until the browser is closed; negative: delete it.
func (s *Login) cookie(r *http.Request, name, value string, life time.Duration, same http.SameSite) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: same, MaxAge: int(life.Seconds())}
	if life < 0 {
		c.MaxAge = -1
	}
	if s.secure(r) {
		c.Name, c.Secure = hostPrefix+name, true
	}
	return c
}

// cookieOf returns the value of a cookie; "": there is none. If secure is set, a cookie without the
// prefix does not count.
func cookieOf(r *http.Request, name string, secure bool) string {
	if secure {
		name = hostPrefix + name
	}
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

// SessionOf returns the token in a browser's session cookie; "": there is none. A request that
// changes something must have api.PageHeader: the controller's page sends it, and pages of other
// sites cannot.
func SessionOf(r *http.Request) (string, error) {
	secret := cookieOf(r, sessionCookie, true)
	if secret == "" && r.TLS == nil {
		secret = cookieOf(r, sessionCookie, false)
	}
	if secret == "" {
		return "", nil
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	site := r.Header.Get("Sec-Fetch-Site")
	if !reads && (r.Header.Get(api.PageHeader) == "" || site != "" && site != "same-origin") ||
		r.Header.Get("Upgrade") != "" && site != "" && site != "same-origin" {
		return "", &compute.Error{Kind: compute.ErrDenied,
			Err:  errors.New("what changes something needs the header " + api.PageHeader + " when it comes with a browser's session"),
			Hint: "other programs present a token: Authorization: Bearer TOKEN"}
	}
	return secret, nil
}

// openSession has a browser keep the presented token in a cookie.
func (s *Login) openSession(w http.ResponseWriter, r *http.Request) {
	secret, ok := auth.Bearer(r)
	if !ok {
		s.Errors.Refuse(
			w, r,
			&compute.Error{
				Kind: compute.ErrInvalid, Err: errors.New("a session is opened with a token"),
				Hint: "Authorization: Bearer TOKEN",
			},
		)
		return
	}
	if request.Caller(r.Context()).Lease != "" {
		s.Errors.Refuse(w, r, &compute.Error{Kind: compute.ErrDenied, Err: errors.New("a lease's own token opens no session")})
		return
	}
	http.SetCookie(w, s.cookie(r, sessionCookie, secret, 0, http.SameSiteStrictMode))
	w.WriteHeader(http.StatusNoContent)
}

// errKept keeps a token at sign-out that was not made by a sign-in.
var errKept = errors.New("no session")

// signOut ends the session of a browser and deletes its cookies.
func (s *Login) signOut(w http.ResponseWriter, r *http.Request) {
	var out api.SignedOut
	if id := request.Caller(r.Context()).Token; id != "" && s.Sessions != nil {
		_, err := s.Sessions.Revoke(r.Context(), id, func(t *auth.Token) error {
			if t.Kind != auth.Session {
				return errKept
			}
			return nil
		})
		if err != nil && !errors.Is(err, errKept) && !errors.Is(err, compute.ErrNotFound) {
			s.Errors.Refuse(w, r, err)
			return
		}
		out.Revoked = err == nil
	}
	for _, name := range []string{sessionCookie, hostPrefix + sessionCookie} {
		if _, err := r.Cookie(name); err == nil {
			http.SetCookie(
				w,
				&http.Cookie{
					Name: name, Path: "/", MaxAge: -1, HttpOnly: true, Secure: strings.HasPrefix(name, hostPrefix),
					SameSite: http.SameSiteStrictMode,
				},
			)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// trip is what a browser takes along to the provider's page, in a cookie.
type trip struct {
	signin.BrowserState
	Next string `json:"next"` // where the browser wanted to go
}

// leave sends a browser to the provider's page, or back to the controller's if there is no
// provider.
func (s *Login) leave(w http.ResponseWriter, r *http.Request) {
	how, next := s.signIn(), local(r.URL.Query().Get("next"))
	if how.Provider == nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	back := how.Address
	if back == "" {
		back = map[bool]string{true: "https://", false: "http://"}[r.TLS != nil] + r.Host
	}
	select {
	case s.leaving <- struct{}{}:
		defer func() { <-s.leaving }()
	default: // the provider may hang, and anybody may ask
		w.Header().Set("Retry-After", "5")
		page(w, http.StatusTooManyRequests, saying{Text: "Too many sign in at once.", Next: "/login", Link: "Try again"})
		return
	}
	address, begun, err := how.Provider.Begin(r.Context(), strings.TrimSuffix(back, "/")+"/login/callback")
	if err != nil {
		s.Errors.Log.Warn("nobody can sign in", "err", err)
		page(w, http.StatusServiceUnavailable, saying{Text: api.Text(err), Next: "/login", Link: "Try again"})
		return
	}
	text, _ := json.Marshal(trip{begun, next}) // strings alone
	http.SetCookie(w, s.cookie(r, tripCookie, base64.RawURLEncoding.EncodeToString(text), tripLife, http.SameSiteLaxMode))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// comeBack completes the sign-in of a browser that the provider's page sends back.
func (s *Login) comeBack(w http.ResponseWriter, r *http.Request) {
	var was trip
	text, _ := base64.RawURLEncoding.DecodeString(cookieOf(r, tripCookie, s.secure(r)))
	if json.Unmarshal(text, &was) != nil {
		was = trip{} // Finish refuses the zero trip
	}
	http.SetCookie(w, s.cookie(r, tripCookie, "", -1, http.SameSiteLaxMode))
	got, err := s.enter(r.Context(), s.signIn().PageLife, func(p *signin.Provider) (signin.User, error) {
		return p.Finish(r.Context(), was.BrowserState, r.URL.Query())
	})
	if err != nil {
		p := s.Errors.Problem(r.Context(), err)
		page(
			w, p.Status,
			saying{Text: p.Detail, Hint: p.Hint, Next: "/login?next=" + url.QueryEscape(local(was.Next)), Link: "Sign in again"},
		)
		return
	}
	http.SetCookie(w, s.cookie(r, sessionCookie, got.Token, time.Until(got.Expires), http.SameSiteStrictMode))
	// Not a redirect: the browser comes from the provider's site, and after a redirect it would not
	// send a strict cookie.
	page(w, http.StatusOK, saying{Text: "You are " + got.Name + ".", Next: local(was.Next), Link: "Go on", Go: true})
}

// local returns a path of this server; other addresses become /.
func local(path string) string {
	if u, err := url.Parse(path); err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") ||
		strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

// saying is a small page.
type saying struct {
	Text, Hint string
	Next, Link string // where it leads to
	Go         bool   // go there at once
}

const little = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>hostler</title><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
%s</head><body><p>%s</p><p>%s</p><p><a href="%s">%s</a></p></body></html>
`

func page(w http.ResponseWriter, status int, what saying) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	next, at := html.EscapeString(what.Next), ""
	if what.Go {
		at = `<meta http-equiv="refresh" content="0;url=` + next + `">`
	}
	_, _ = fmt.Fprintf(w, little, at, html.EscapeString(what.Text), html.EscapeString(what.Hint), next, html.EscapeString(what.Link))
}
