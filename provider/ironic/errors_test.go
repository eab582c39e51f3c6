package ironic_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// TestErrors has a service that does not answer as it should: one short line says what, of which
// cloud, and a hint what to do.
func TestErrors(t *testing.T) {
	answer := func(code int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for what, c := range map[string]struct {
		answer     func(http.ResponseWriter, *http.Request) // nil: the service is not there
		kind       error
		text, hint string
	}{
		"refused": {nil, compute.ErrUnavailable, "connection refused", "whether the service runs"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				conn.Close()
			}
		}, compute.ErrUnavailable, "", "whether the service runs"},
		"401": {
			answer(http.StatusUnauthorized, `{"error": {"code": 401, "message": "The request you have made requires authentication."}}`),
			compute.ErrDenied, "401 The request", "password",
		},
		"403": {
			answer(
				http.StatusForbidden,
				`{"error_message": "{\"faultstring\": \"Access was denied to the following resource: baremetal:node:list\"}"}`,
			),
			compute.ErrDenied, "403 Access was denied", "role",
		},
		"503": {
			answer(http.StatusServiceUnavailable, "<html><h1>503 Service Unavailable</h1>\nNo server is available.</html>"),
			compute.ErrUnavailable, ": 503 Service Unavailable No server", "try again later",
		},
		"timeout": {
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, compute.ErrTimeout,
			"no answer within", "stands still",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newStandin(t)
			s.add(1, nil)
			cred := credentials.Credentials{From: "cloud lab of clouds.yaml", Auth: gophercloud.AuthOptions{
				IdentityEndpoint: s.URL + "/v3", Username: "u", Password: "p", DomainID: "default", AllowReauth: true,
				Scope: &gophercloud.AuthScope{ProjectID: "p1"},
			}}
			o := openstack.SessionOptions{Rate: 1e6, Backoff: time.Millisecond, Timeout: 30 * time.Second, Retries: 1}
			if what == "timeout" {
				o.Timeout = 200 * time.Millisecond
			}
			session, err := openstack.NewSession(cred, o)
			do(t, err)
			t.Cleanup(session.CloseIdle)
			sc, err := ironic.NewScout(ironic.ScoutOptions{Session: session, Installation: "inst"})
			do(t, err)
			if what != "timeout" { // it has logged in, and knows the version
				nodes(t, sc)
			}
			if c.answer == nil {
				s.Close()
			} else {
				s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, "/v1/nodes") {
						return false
					}
					c.answer(w, r)
					return true
				})
			}
			_, err = sc.Nodes(t.Context())
			if err == nil {
				t.Fatal("there is no error")
			}
			text := err.Error()
			if !errors.Is(err, c.kind) || !strings.Contains(text, c.text) || !strings.Contains(text, "cloud lab of clouds.yaml") {
				t.Errorf(`text = %s; want error c.kind and text with c.text and text with "cloud lab of clouds.yaml"`, text)
			}
			if strings.Contains(text, "\n") || strings.Contains(text, "fields=") || len(text) > 220 {
				t.Errorf("it is not one short line: %s", text)
			}
			if !strings.Contains(compute.Hint(err), c.hint) {
				t.Errorf("the hint is %q", compute.Hint(err))
			}
		})
	}
}
