package signin_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth/signin"
	"github.com/hostler-project/hostler/auth/signin/signintest"
	"github.com/hostler-project/hostler/client/device"
	"github.com/hostler-project/hostler/compute"
)

// nobody is there: tests read where the browser would go
const redirect = "http://127.0.0.1:1/login/callback"

func start(t *testing.T) *signintest.Provider {
	return signintest.Start(t, signintest.Settings{
		Clients: map[string]signintest.Client{
			"cli": {Redirect: []string{redirect}}, "other": {}, "thin": {Thin: true}, "brief": {Lives: time.Second},
			"page": {Secret: "the page's own", Redirect: []string{redirect}},
		},
		People: map[string]signintest.Person{
			"ann": {Email: "Ann@Example.org", Verified: true, Name: "ann", Groups: []string{"ops", "dev", "dev"}},
			"bob": {Email: "bob@example.org", Verified: false, Name: "bob", Groups: []string{"dev"}},
			"eve": {Email: "eve@example.org.evil.example", Verified: true, Name: "root"},
			"sly": {Email: "eve@evil.example@example.org", Verified: true, Name: "Ann\u200b"},
			"nil": {Name: "nobody"},
		},
	})
}

// believe makes what believes a provider, for people of example.org unless edit says otherwise.
func believe(t *testing.T, issuer string, edit func(*signin.Options)) *signin.Provider {
	t.Helper()
	opt := signin.Options{Issuer: issuer, ClientID: "cli", Domains: []string{"Example.org"}, Reserved: []string{"root"}}
	if edit != nil {
		edit(&opt)
	}
	p, err := signin.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// proof signs somebody in by a device's code.
func proof(t *testing.T, at *signintest.Provider, client, name string) signin.Proof {
	t.Helper()
	return proofs(t, at, client+" "+name)[0]
}

// proofs signs people in, "CLIENT NAME" each, all at once: a device waits before it asks whether
// its code was typed.
func proofs(t *testing.T, at *signintest.Provider, who ...string) []signin.Proof {
	t.Helper()
	all, failed := make([]signin.Proof, len(who)), make([]error, len(who))
	var wg sync.WaitGroup
	for i, w := range who {
		client, name, _ := strings.Cut(w, " ")
		wg.Go(func() {
			f, err := device.Begin(
				t.Context(),
				device.Options{Issuer: at.URL, ClientID: client, Scopes: []string{"openid", "email", "profile"}},
			)
			if err != nil {
				failed[i] = err
				return
			}
			at.Type(f.Code, name, true)
			got, err := f.Wait(t.Context())
			all[i], failed[i] = signin.Proof{IDToken: got.ID, AccessToken: got.Access, Verifier: got.Verifier}, err
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil || t.Failed() {
		t.Fatal("signing in: ", err)
	}
	return all
}

// refused wants an error of kind denied that says so.
func refused(t *testing.T, who signin.User, err error, text string) {
	t.Helper()
	if !errors.Is(err, compute.ErrDenied) || !strings.Contains(err.Error(), text) {
		t.Errorf("%+v, %v; want to be refused with %q", who, err, text)
	}
}

func TestVerify(t *testing.T) {
	at := start(t)
	p := believe(t, at.URL, nil)
	signed := proofs(
		t, at, "cli ann", "cli ann", "other ann", "cli bob", "cli bob", "cli eve", "cli sly", "cli nil", "thin ann",
		"thin bob",
	)
	ann := signed[0]
	who, err := p.Verify(t.Context(), ann)
	if err != nil || who.Name != "ann@example.org" || who.Email != "ann@example.org" || who.Subject != "ann" ||
		!slices.Equal(who.Groups, []string{"dev", "ops"}) || len(who.Proof) != 64 {
		t.Fatalf("who = %+v, err = %v", who, err)
	}
	another, err := p.Verify(t.Context(), signed[1])
	if err != nil || another.Proof == who.Proof {
		t.Errorf("two sign-ins have the proofs %s and %s, %v", who.Proof, another.Proof, err)
	}

	t.Run("audience", func(t *testing.T) {
		who, err := p.Verify(t.Context(), signed[2])
		refused(t, who, err, `for ["other"]`)
	})
	t.Run("expired", func(t *testing.T) {
		brief := believe(t, at.URL, func(o *signin.Options) { o.ClientID = "brief" })
		token := proof(t, at, "brief", "ann")
		time.Sleep(2500 * time.Millisecond) // the provider's shortest life of a token is 2 s
		who, err := brief.Verify(t.Context(), token)
		refused(t, who, err, "ran out")
	})
	t.Run("issuer", func(t *testing.T) {
		evil := start(t)
		who, err := p.Verify(t.Context(), proof(t, evil, "cli", "ann"))
		refused(t, who, err, "ID token")
	})
	t.Run("unverified", func(t *testing.T) {
		bob := signed[3]
		who, err := p.Verify(t.Context(), bob)
		refused(t, who, err, "not verified the address")
		named := believe(t, at.URL, func(o *signin.Options) { o.NameClaim = "preferred_username" })
		who, err = named.Verify(t.Context(), bob)
		refused(t, who, err, "none of the domains")
		grouped := believe(t, at.URL, func(o *signin.Options) { o.NameClaim, o.Groups = "preferred_username", []string{"dev"} })
		if who, err = grouped.Verify(t.Context(), bob); err != nil || who.Name != "bob" || who.Email != "" {
			t.Errorf(`who = %+v, err = %v; want no error and who.Name == "bob" and who.Email == ""`, who, err)
		}
	})
	t.Run("names", func(t *testing.T) {
		eve, sly, none := signed[5], signed[6], signed[7]
		who, err := p.Verify(t.Context(), eve)
		refused(t, who, err, "none of the domains")
		who, err = p.Verify(t.Context(), sly)
		refused(t, who, err, "none of the domains")
		who, err = p.Verify(t.Context(), none)
		refused(t, who, err, "claim email")
		named := believe(t, at.URL, func(o *signin.Options) { o.NameClaim, o.Domains = "preferred_username", []string{"*"} })
		who, err = named.Verify(t.Context(), eve)
		refused(t, who, err, "not to be had")
		who, err = named.Verify(t.Context(), sly)
		refused(t, who, err, "no name here")
		if who, err = named.Verify(t.Context(), none); err != nil || who.Name != "nobody" {
			t.Errorf(`who = %+v, err = %v; want no error and who.Name == "nobody"`, who, err)
		}
	})
	t.Run("altered", func(t *testing.T) {
		parts := strings.Split(ann.IDToken, ".")
		for what, token := range map[string]string{
			"no signature":    parts[0] + "." + parts[1] + ".",
			"another payload": parts[0] + "." + strings.Split(signed[4].IDToken, ".")[1] + "." + parts[2],
			"algorithm none":  "eyJhbGciOiJub25lIn0." + parts[1] + ".", "nothing": "", "no token": "xyz",
			"too many parts": ann.IDToken + ".x",
		} {
			if who, err := p.Verify(t.Context(), signin.Proof{IDToken: token}); !errors.Is(err, compute.ErrDenied) {
				t.Errorf("%s: who = %+v, err = %v; want error compute.ErrDenied", what, who, err)
			}
		}
	})
	t.Run("thin", func(t *testing.T) {
		thin := believe(t, at.URL, func(o *signin.Options) { o.ClientID = "thin" })
		ann, bob := signed[8], signed[9]
		if who, err := thin.Verify(t.Context(), ann); err != nil || who.Name != "ann@example.org" {
			t.Errorf(`who = %+v, err = %v; want no error and who.Name == "ann@example.org"`, who, err)
		}
		who, err := thin.Verify(t.Context(), signin.Proof{IDToken: ann.IDToken})
		refused(t, who, err, "claim email")
		who, err = thin.Verify(t.Context(), signin.Proof{IDToken: bob.IDToken, AccessToken: ann.AccessToken})
		refused(t, who, err, "not of this sign-in")
	})
	t.Run("rotation", func(t *testing.T) {
		before := proof(t, at, "cli", "ann")
		at.Rotate()
		if who, err := p.Verify(t.Context(), proof(t, at, "cli", "ann")); err != nil || who.Subject != "ann" {
			t.Errorf("by the new key: %+v, %v", who, err)
		}
		who, err := p.Verify(t.Context(), before)
		// the library forgets the old key a moment after it has told the new one
		for end := time.Now().Add(time.Minute); err == nil && time.Now().Before(end); {
			who, err = p.Verify(t.Context(), before)
		}
		refused(t, who, err, "signature")
	})
	t.Run("away", func(t *testing.T) {
		at.Rotate()
		token := proof(t, at, "cli", "ann")
		at.Shut()
		defer at.Open()
		for what, p := range map[string]*signin.Provider{"known": p, "never asked": believe(t, at.URL, nil)} {
			if who, err := p.Verify(t.Context(), token); !errors.Is(err, compute.ErrUnavailable) {
				t.Errorf("%s: who = %+v, err = %v; want error compute.ErrUnavailable", what, who, err)
			}
			at.Open()
			_, err := p.Verify(t.Context(), token)
			// the library may tell once more what it was told before
			for end := time.Now().Add(time.Minute); errors.Is(err, compute.ErrUnavailable) && time.Now().Before(end); {
				_, err = p.Verify(t.Context(), token)
			}
			if err != nil {
				t.Errorf("%s, and there again: %v", what, err)
			}
			at.Rotate()
			token = proof(t, at, "cli", "ann")
			at.Shut()
		}
	})
}

// TestBrowser: a browser goes to the provider's page and back.
func TestBrowser(t *testing.T) {
	at := start(t)
	for name, edit := range map[string]func(*signin.Options){
		"public": nil, "secret": func(o *signin.Options) { o.ClientID, o.LoginClientID, o.Secret = "page", "cli", "the page's own" },
	} {
		t.Run(name, func(t *testing.T) {
			p := believe(t, at.URL, edit)
			address, trip, err := p.Begin(t.Context(), redirect)
			if err != nil {
				t.Fatal(err)
			}
			back := visit(t, at, address)
			if _, err := p.Finish(
				t.Context(), signin.BrowserState{State: "another", Verifier: trip.Verifier, Redirect: redirect}, back,
			); !errors.Is(err, compute.ErrDenied) {
				t.Errorf("with another's state: %v", err)
			}
			if _, err := p.Finish(t.Context(), signin.BrowserState{}, back); !errors.Is(err, compute.ErrDenied) {
				t.Errorf("with no trip at all: %v", err)
			}
			who, err := p.Finish(t.Context(), trip, back)
			if err != nil || who.Name != "ann@example.org" {
				t.Fatalf(`who = %+v, err = %v; want no error and who.Name == "ann@example.org"`, who, err)
			}
			if _, err := p.Finish(t.Context(), trip, back); !errors.Is(err, compute.ErrDenied) {
				t.Errorf("a second time: %v", err)
			}
			if _, err := p.Finish(
				t.Context(), trip, url.Values{"state": {trip.State}, "error": {"access_denied"}},
			); !errors.Is(err, compute.ErrDenied) {
				t.Errorf("refused there: %v", err)
			}
			other, _, err := p.Begin(t.Context(), redirect)
			if err != nil {
				t.Fatal(err)
			}
			stolen := visit(t, at, other)
			stolen.Set("state", trip.State)
			if _, err := p.Finish(t.Context(), trip, stolen); !errors.Is(err, compute.ErrDenied) {
				t.Errorf("with another sign-in's code: %v", err)
			}
			if name == "public" {
				who, err := p.Verify(t.Context(), signin.Proof{IDToken: proof(t, at, "cli", "ann").IDToken, Browser: true})
				refused(t, who, err, "another sign-in's")
			}
		})
	}
	t.Run("wrong secret", func(t *testing.T) {
		p := believe(t, at.URL, func(o *signin.Options) { o.ClientID, o.Secret = "page", "guessed" })
		address, trip, err := p.Begin(t.Context(), redirect)
		if err != nil {
			t.Fatal(err)
		}
		who, err := p.Finish(t.Context(), trip, visit(t, at, address))
		refused(t, who, err, "provider says")
		if err != nil && strings.Contains(err.Error(), "guessed") {
			t.Errorf("the secret is told: %v", err)
		}
	})
}

// visit goes to the provider as ann's browser, and returns what it brings back.
func visit(t *testing.T, at *signintest.Provider, address string) url.Values {
	t.Helper()
	answer := at.Browse(signintest.Browser(t), address, "ann", redirect)
	defer answer.Body.Close()
	where, err := answer.Location()
	if err != nil || answer.StatusCode/100 != 3 || !strings.HasPrefix(where.String(), redirect) {
		t.Fatalf("the browser is at %s (%s), and goes to %v, %v", answer.Request.URL, answer.Status, where, err)
	}
	return where.Query()
}

func TestOptions(t *testing.T) {
	good := signin.Options{Issuer: "https://id.example.org/realms/x", ClientID: "hostler", Domains: []string{"example.org"}}
	for text, edit := range map[string]func(*signin.Options){
		"":                     func(*signin.Options) {},
		"not an address":       func(o *signin.Options) { o.Issuer = "id.example.org" },
		"without TLS":          func(o *signin.Options) { o.Issuer = "http://id.example.org" },
		"needs client-id":      func(o *signin.Options) { o.ClientID = "" },
		"it is not said whom":  func(o *signin.Options) { o.Domains = nil },
		"without openid":       func(o *signin.Options) { o.Scopes = []string{"email"} },
		`"@example.org" is no`: func(o *signin.Options) { o.Domains = []string{"@example.org"} },
	} {
		opt := good
		edit(&opt)
		_, err := signin.New(opt)
		if text == "" && err != nil || text != "" && (!errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), text)) {
			t.Errorf("%v; want %q", err, text)
		}
	}
}

// TestElsewhere: a provider cannot send us to other addresses, nor drown us.
func TestElsewhere(t *testing.T) {
	for name, answer := range map[string]func() *http.Response{
		"redirect": func() *http.Response {
			return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"http://127.0.0.1:1/"}}, Body: http.NoBody}
		},
		"flood": func() *http.Response {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: flood{}}
		},
	} {
		asked := 0
		p := believe(t, "https://id.example.org", func(o *signin.Options) {
			o.Transport = transport(func(r *http.Request) (*http.Response, error) {
				asked++
				if r.URL.Host != "id.example.org" {
					t.Errorf("%s: it asks %s", name, r.URL)
				}
				out := answer()
				out.Request = r
				return out, nil
			})
		})
		if _, err := p.Verify(t.Context(), signin.Proof{IDToken: "x"}); !errors.Is(err, compute.ErrUnavailable) || asked != 1 {
			t.Errorf("%s: %v after %d", name, err, asked)
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// flood never ends.
type flood struct{}

func (flood) Read(b []byte) (int, error) { return len(b), nil }
func (flood) Close() error               { return nil }
