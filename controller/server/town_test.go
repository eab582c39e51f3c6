package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/access"
	sockets "github.com/hostler-project/hostler/controller/server/connect"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

// town is a controller with two projects and people in them, on a real engine and store.
type town struct {
	t      testing.TB
	url    string
	ring   *auth.TokenRegistry
	audit  *auth.Log
	engine *pool.Pool
	tokens map[string]string // by person
	people map[string]map[string]auth.Role
}

// webhooks has none.
type webhooks struct{}

func (webhooks) List(context.Context) ([]api.Webhook, error) { return nil, nil }
func (webhooks) Test(context.Context, string) (api.WebhookTest, error) {
	return api.WebhookTest{}, nil
}
func (webhooks) Skip(context.Context, string) error { return nil }

// nothingApplied has nothing.
type nothingApplied struct{}

func (nothingApplied) Applied(context.Context, map[string]string) (api.AppliedSet, error) {
	return api.AppliedSet{Things: []api.AppliedThing{}}, nil
}

func (nothingApplied) AppliedThing(context.Context, string, string) (api.AppliedThing, error) {
	return api.AppliedThing{}, &compute.Error{Kind: compute.ErrNotFound}
}

func (nothingApplied) Apply(context.Context, auth.Principal, api.ApplySet) (api.ApplyAnswer, error) {
	return api.ApplyAnswer{Changes: []api.ThingChange{}, Warnings: []string{}}, nil
}

func (nothingApplied) PutApplied(
	_ context.Context, who auth.Principal, kind, name string, _ api.PutThing, _ int64, _ bool,
) (api.AppliedThing, error) {
	return api.AppliedThing{Kind: kind, Name: name, Labels: map[string]string{}, Revision: 1, By: who.Name}, nil
}

func (nothingApplied) DeleteApplied(context.Context, auth.Principal, string, string, int64) error {
	return nil
}

func newTown(t testing.TB, change func(*server.Options)) *town {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	w := &town{t: t, tokens: map[string]string{}, people: map[string]map[string]auth.Role{
		"vic": {"a": auth.Viewer}, "ann": {"a": auth.User}, "bea": {"a": auth.User}, "opa": {"a": auth.Operator},
		"eve": {"b": auth.Operator}, "nobody": nil, "root": nil,
		"two": {"a": auth.User, "b": auth.Viewer},
	}}
	w.engine, err = pool.New(pool.Options{
		Store: st, NewID: uuid.NewString, Log: log, Sources: []pool.Source{
			{Name: "web", Type: "fake", Digest: "d"}, {Name: "alpha", Type: "fake", Digest: "d"},
			{Name: "full", Type: "fake", Digest: "d", Maximum: 1},
		},
		Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			return fake.Open(ctx, log, fake.Options{Source: name, Installation: st.Installation(), Exec: "exec"})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.ring = auth.NewTokenRegistry(st, auth.TokenRegistryOptions{Members: func(name string, _ []string) (auth.Role, map[string]auth.Role) {
		if name == "root" {
			return auth.Administrator, nil
		}
		return auth.Nobody, w.people[name]
	}})
	w.audit = auth.NewLog(st, auth.AuditOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.audit.Run(ctx) }()
	opt := server.Options{
		Engine:   func() server.Engine { return whole(w.engine) },
		Version:  "test",
		Identity: func() api.Identity { return api.Identity{} },
		Webhooks: func() server.Webhooks { return webhooks{} },
		Applied:  nothingApplied{},
		Callers: server.Callers{Tokens: w.ring, Audit: w.audit, Authenticate: func(r *http.Request) (auth.Principal, error) {
			token, _ := auth.Bearer(r)
			return w.ring.Who(r.Context(), token, "192.0.2.1")
		}, Limits: auth.NewLimits(auth.LimitOptions{Failures: -1})},
		Scope: access.Scope{Projects: func() []string { return []string{"a", "b"} }, Limited: func(source string) []string {
			if source == "alpha" {
				return []string{"a"}
			}
			return nil
		}},
		Lifecycle: server.Lifecycle{
			Ready:  func(context.Context) error { return nil },
			Reload: func(context.Context) (api.Reloaded, error) { return api.Reloaded{}, nil },
		},
		Telemetry: server.Telemetry{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {})},
	}
	if change != nil {
		change(&opt)
	}
	srv := httptest.NewServer(server.New(opt))
	w.url = srv.URL
	for name := range w.people {
		w.tokens[name] = w.token(auth.Token{Owner: name})
	}
	t.Cleanup(func() {
		srv.Close()
		cancel()
		<-done
		_ = st.Close()
	})
	return w
}

func (w *town) token(t auth.Token) string {
	w.t.Helper()
	secret, err := w.ring.Make(context.Background(), &t, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

// take takes an instance for somebody.
func (w *town) take(owner, project, source string) compute.Lease {
	w.t.Helper()
	ls, err := w.engine.Acquire(context.Background(), compute.Request{Source: source, Count: 1, Owner: owner, Project: project})
	if err != nil {
		w.t.Fatal(err)
	}
	return ls[0]
}

// wait has ann wait in the queue, in project a, and returns the number of her request.
func (w *town) wait() (number string, end func()) {
	w.t.Helper()
	if q, err := w.engine.Leases(context.Background(), inventory.LeaseQuery{Source: "full"}); err != nil {
		w.t.Fatal(err)
	} else if len(q) == 0 {
		w.take("bea", "a", "full")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		// it is given up
		_, _ = w.engine.Acquire(ctx, compute.Request{Source: "full", Count: 1, Owner: "ann", Project: "a", Wait: -1})
	}()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		all, err := w.engine.Queue(ctx)
		if err != nil || time.Now().After(limit) {
			w.t.Fatal(all, err)
		}
		if len(all) > 0 {
			return fmt.Sprint(all[0].ID), func() { cancel(); <-done }
		}
	}
}

// ask makes a request with a token.
func (w *town) ask(method, path, body, token string, headers ...string) (int, string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if way, _, _ := strings.Cut(path, "?"); strings.HasSuffix(way, "/connect") || strings.HasSuffix(way, "/terminal") {
		headers = append(headers, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==",
			"Sec-WebSocket-Protocol", map[bool]string{
				true: sockets.Subprotocol, false: sockets.TerminalProtocol,
			}[strings.HasSuffix(way, "/connect")])
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := c.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusSwitchingProtocols || strings.HasPrefix(answer.Header.Get("Content-Type"), api.EventStream) {
		return answer.StatusCode, "" // it does not end
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
