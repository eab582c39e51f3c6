package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server"
)

// TestOtherSites: what a page of another site has a browser ask for, with the certificate that the
// browser shows, is refused.
func TestOtherSites(t *testing.T) {
	w := newTown(t, func(o *server.Options) {
		o.Callers.Authenticate = func(*http.Request) (auth.Principal, error) {
			return auth.Principal{Name: "root", Via: "certificate 1", Everywhere: auth.Administrator}, nil
		}
	})
	for _, c := range []struct {
		name, method, path string
		header             []string
		want               int
	}{
		{"a program", "POST", "/v1/reload", nil, 200},
		{"our page", "POST", "/v1/reload", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"another site", "POST", "/v1/reload", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a sibling", "DELETE", "/v1/leases/x", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin, from an old browser", "POST", "/v1/fill", []string{"Origin", "https://elsewhere.example"}, 403},
		{"a link to a list", "GET", "/v1/leases", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{
			"a socket from another origin", "GET", "/v1/instances/web-1/terminal",
			[]string{"Upgrade", "websocket", "Connection", "Upgrade", "Origin", "https://elsewhere.example"}, 403,
		},
		{"another site with a token", "POST", "/v1/reload", []string{"Sec-Fetch-Site", "cross-site", "Authorization", "Bearer x"}, 200},
		{"another site with a password", "POST", "/v1/reload", []string{"Sec-Fetch-Site", "cross-site", "Authorization", "Basic x"}, 403},
	} {
		r, err := http.NewRequest(c.method, w.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Set(c.header[i], c.header[i+1])
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.name, answer.StatusCode, c.want)
		}
	}
}

// TestSessionByToken: a session is opened with any token that the gate lets in.
func TestSessionByToken(t *testing.T) {
	w := newTown(t, nil)
	for header, want := range map[string]int{
		"Bearer " + w.tokens["ann"]: 204, "bearer " + w.tokens["ann"]: 204, "Basic " + w.tokens["ann"]: 401, "bearer x": 401,
	} {
		r := httptest.NewRequest(http.MethodPost, w.url+"/v1/session", nil)
		r.RequestURI = ""
		r.Header.Set("Authorization", header)
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%q: got status %d, want %d", header, answer.StatusCode, want)
		}
	}
}

// TestBoundAdministrator: a token of an administrator that is for one project, or one source, does
// nothing to the whole controller.
func TestBoundAdministrator(t *testing.T) {
	w := newTown(t, nil)
	for name, token := range map[string]auth.Token{
		"project": {Owner: "root", Project: "a", Bound: true}, "source": {Owner: "root", Source: "web"},
	} {
		secret := w.token(token)
		for _, path := range []string{
			"POST /v1/reload", "POST /v1/work", "POST /v1/fill", "POST /v1/sources/web/test", "GET /v1/webhooks",
			"GET /metrics",
		} {
			method, path, _ := strings.Cut(path, " ")
			r := httptest.NewRequest(method, w.url+path, nil)
			r.RequestURI = ""
			r.Header.Set("Authorization", "Bearer "+secret)
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusForbidden {
				t.Errorf("bound to a %s: %s %s: %d", name, method, path, answer.StatusCode)
			}
		}
	}
}
