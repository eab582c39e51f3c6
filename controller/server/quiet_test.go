package server_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server"
)

// TestQuietStreams: streams on which nothing happens for longer than a reader may take for what is
// written go on, by both versions of HTTP: HTTP/2 ends those whose time to write has passed,
// whether something is being written or not.
func TestQuietStreams(t *testing.T) {
	e := engine(t)
	if _, err := e.Acquire(t.Context(), compute.Request{Source: "web", Count: maximum, Owner: "bob"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for _, two := range []bool{true, false} {
		srv := httptest.NewUnstartedServer(server.New(server.Options{
			Engine:    func() server.Engine { return whole(e) },
			Version:   "test",
			Identity:  func() api.Identity { return api.Identity{} },
			Callers:   server.Callers{Authenticate: authenticate},
			Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
		}))
		srv.EnableHTTP2 = two
		srv.StartTLS()
		t.Cleanup(srv.Close)
		for _, of := range []struct{ method, path, body string }{
			{"GET", "/v1/events/watch", ""}, {"POST", "/v1/leases", `{"source": "web", "wait": 600}`},
		} {
			all.Go(func() {
				r, err := http.NewRequestWithContext(ctx, of.method, srv.URL+of.path, strings.NewReader(of.body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", "Bearer ann")
				r.Header.Set("Accept", api.EventStream)
				answer, err := srv.Client().Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer answer.Body.Close()
				if answer.ProtoMajor == 2 != two {
					t.Errorf("%s is answered by %s", of.path, answer.Proto)
				}
				lines := bufio.NewScanner(answer.Body)
				for lines.Scan() {
					// it is said that it lives: nothing was told for longer than that
					if lines.Text() == ": " {
						return
					}
				}
				t.Errorf("%s, %s: it ends: %v", of.path, answer.Proto, lines.Err())
			})
		}
	}
	all.Wait()
}
