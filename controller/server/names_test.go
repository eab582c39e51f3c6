package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/auth/signin"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/login"
)

// TestNamesOfProjects: a name that another project has taken is free, and means one's own lease.
func TestNamesOfProjects(t *testing.T) {
	w := newTown(t, func(o *server.Options) { o.Scope.Sources = func(name string) bool { return name == "web" } })
	took := map[string]string{}
	for _, who := range []string{"eve", "ann"} {
		status, text := w.ask(http.MethodPost, "/v1/leases", `{"source": "web", "name": "build"}`, w.tokens[who])
		var l api.Lease
		if err := json.Unmarshal([]byte(text), &l); status != http.StatusCreated || err != nil {
			t.Fatalf(
				"who = %v, status = %v, text = %v, err = %v"+
					"; want status == http.StatusCreated and no error",
				who, status, text, err,
			)
		}
		took[who] = l.ID
	}
	for who, id := range took {
		for _, path := range []string{"/v1/leases/build", "/v1/instances/build"} {
			if status, text := w.ask(http.MethodGet, path, "", w.tokens[who]); status != http.StatusOK || !strings.Contains(text, id) {
				t.Errorf(
					"%s: path = %s: status = %d text = %s"+
						"; want status == http.StatusOK and text with id",
					who, path, status, text,
				)
			}
		}
		if status, text := w.ask(
			http.MethodPost, "/v1/leases/build/use", "", w.tokens[who],
		); status != http.StatusOK || !strings.Contains(text, id) {
			t.Errorf("%s uses it: %d %s", who, status, text)
		}
	}
	if status, text := w.ask(
		http.MethodPost, "/v1/leases", `{"source": "web", "name": "build"}`, w.tokens["bea"],
	); status != http.StatusConflict {
		t.Errorf("the same project's name: %d %s", status, text)
	}
	if status, text := w.ask(http.MethodDelete, "/v1/leases/build", "", w.tokens["ann"]); status != http.StatusNoContent {
		t.Errorf("ann gives hers back: %d %s", status, text)
	}
	ls, err := w.engine.Leases(t.Context(), inventory.LeaseQuery{Name: "build"})
	if err != nil || len(ls) != 1 || ls[0].ID != took["eve"] {
		t.Errorf("left are %v %v", ls, err)
	}
	if status, text := w.ask(http.MethodGet, "/v1/leases/build", "", w.tokens["ann"]); status != http.StatusNotFound {
		t.Errorf("ann sees eve's: %d %s", status, text)
	}
}

// TestManyNames: a tenant names no more in a request than can be served between those of others.
func TestManyNames(t *testing.T) {
	w := newTown(t, nil)
	body := `{"names": ["x"` + strings.Repeat(`,"x"`, 1000) + `]}`
	for _, path := range []string{"/v1/release", "/v1/hold"} {
		for _, who := range []string{"ann", "root"} { // an administrator's token is not the owner
			status, text := w.ask(http.MethodPost, path, body, w.tokens[who])
			if status < 400 || status >= 500 || !strings.Contains(text, "1001 names, and one request may have 1000") {
				t.Errorf(
					"%s: path = %s: status = %d text = %s"+
						`; want status >= 400 and status < 500 and text with "1001 names, and one request may have 1000"`,
					who, path, status, text,
				)
			}
		}
		status, text := w.ask(http.MethodPost, path, strings.Replace(body, `"x",`, "", 1), w.tokens["ann"])
		if status != http.StatusNotFound {
			t.Errorf("a thousand: %s: %d %s", path, status, text)
		}
	}
}

// TestStrangersCount: of what strangers ask for the proofs that are refused count, and whatever is
// wrong is in the audit log. Nobody is shut out of the page by them, and what strangers may send is
// little.
func TestStrangersCount(t *testing.T) {
	var provider *httptest.Server
	provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"issuer": %q, "authorization_endpoint": "%[1]s/a", `, provider.URL)
		_, _ = fmt.Fprintf(w, `"token_endpoint": "%[1]s/t", "jwks_uri": "%[1]s/k", "keys": []}`, provider.URL)
	}))
	t.Cleanup(provider.Close)
	p, err := signin.New(signin.Options{Issuer: provider.URL, ClientID: "cli", Domains: []string{"example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	for what, body := range map[string]string{
		"no JSON": "{", "an unknown key": `{"x": 1}`, "too much": `{"id_token": "` + strings.Repeat("x", 70<<10) + `"}`,
		"a proof": `{"id_token": "x"}`,
	} {
		w := newTown(t, func(opt *server.Options) {
			opt.Callers.Limits = auth.NewLimits(auth.LimitOptions{Failures: 0.01, FailureBurst: 3})
			opt.Callers.Sessions = opt.Callers.Tokens.(*auth.TokenRegistry)
			opt.Callers.SignIn = func() login.SignIn { return login.SignIn{Provider: p} }
		})
		var seen []int
		for range 4 {
			status, _ := w.ask(http.MethodPost, "/v1/login", body, "")
			seen = append(seen, status)
		}
		limited := seen[3] == http.StatusTooManyRequests
		if first := seen[0]; first < 400 || first == http.StatusTooManyRequests || limited != (what == "a proof") ||
			what == "too much" && first != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got status %v, want a limit of proofs that are refused alone", what, seen)
		}
		if status, text := w.ask(http.MethodGet, "/v1/login", "", ""); status != http.StatusOK {
			t.Errorf("%s: got status %d of how to sign in, want %d: %s", what, status, http.StatusOK, text)
		}
		all := []auth.AuditEntry{}
		for limit := time.Now().Add(10 * time.Second); len(all) < 3; time.Sleep(10 * time.Millisecond) {
			var err error
			if time.Now().After(limit) {
				t.Fatalf("%s: the audit log has %v", what, all)
			}
			if all, err = w.audit.List(t.Context(), auth.AuditQuery{Act: "sign-in", Limit: 10}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
