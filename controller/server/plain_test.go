package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/auth/signin"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/login"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// sayPlain asks as ann, with the headers that are given and no others.
func sayPlain(t *testing.T, method, url, body string, header ...string) (status int, h http.Header, p api.Problem, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer ann")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode >= 400 {
		if err := json.Unmarshal(data, &p); err != nil || answer.Header.Get("Content-Type") != api.ProblemType ||
			p.Status != answer.StatusCode || p.Code == "" || p.Request == "" {
			t.Errorf("%s %s: no problem as it should be: %s %s", method, url, answer.Status, data)
		}
	}
	return answer.StatusCode, answer.Header, p, string(data)
}

// known is a controller that knows its sources.
func known(t *testing.T, e *pool.Pool) string {
	t.Helper()
	srv := httptest.NewServer(server.New(server.Options{
		Engine:    func() server.Engine { return whole(e) },
		Version:   "test",
		Identity:  func() api.Identity { return api.Identity{} },
		Callers:   server.Callers{Authenticate: authenticate},
		Scope:     access.Scope{Sources: func(name string) bool { return name == "web" }},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestBodies: what curl sends by itself is taken, and what is no JSON is refused as that.
func TestBodies(t *testing.T) {
	url := known(t, engine(t)) + "/v1/leases"
	for _, c := range []struct {
		typ, body string
		status    int
	}{
		{"", `{"source": "web"}`, 201},
		{"application/x-www-form-urlencoded", `{"source": "web"}`, 201},
		{"application/json; charset=utf-8", `{"source": "web"}`, 201},
		{"application/x-www-form-urlencoded", `source=web`, 400},
		{"", `source=web`, 400},
		{"text/plain", `{"source": "web"}`, 415},
		{"application/xml", `<source>web</source>`, 415},
	} {
		if status, _, _, text := sayPlain(t, http.MethodPost, url, c.body, "Content-Type", c.typ); status != c.status {
			t.Errorf("c.typ = %q c.body = %s: status = %d text = %s; want status == c.status", c.typ, c.body, status, text)
		}
	}
}

// TestRefusals: what no lease can be given for is refused, with what is wrong, and nothing is
// taken.
func TestRefusals(t *testing.T) {
	e := engine(t)
	leases, err := e.Acquire(t.Context(), compute.Request{Source: "web", Owner: "bob", Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	url := known(t, e)
	for body, want := range map[string]struct {
		status int
		says   string
	}{
		`{"source": "web", "count": 0}`:                                           {422, "count"},
		`{"source": "web", "count": -1}`:                                          {422, "count"},
		`{"source": "web", "count": 1000000}`:                                     {422, "count"},
		`{"source": "web", "ttl": -1}`:                                            {422, "ttl"},
		`{"source": "web", "idle": -1}`:                                           {422, "idle"},
		`{"source": "web", "name": "a b"}`:                                        {400, `"a b"`},
		`{"source": "web", "name": "x\u001b[31m"}`:                                {400, `"x\x1b[31m"`},
		`{"source": "web", "name": "web"}`:                                        {409, "a source of this name"},
		`{"source": "web", "name": "` + string(leases[0].Instance) + `"}`:         {409, "instances of the source web have such names"},
		`{"source": "web", "purpose": "x\u0000"}`:                                 {400, "purpose"},
		`{"source": "web", "labels": {"a": "b\u001b"}}`:                           {400, "label"},
		`{"source": "web", "labels": {"a": "` + strings.Repeat("x", 5000) + `"}}`: {400, "5000 bytes"},
	} {
		status, _, p, text := sayPlain(t, http.MethodPost, url+"/v1/leases", body)
		if status != want.status || !strings.Contains(p.Detail, want.says) {
			t.Errorf("%.80s: status = %d text = %s; want status == want.status and p.Detail with want.says", body, status, text)
		}
	}
	if all := leasesOf(t, e); len(all) != 1 {
		t.Errorf("%d leases were taken", len(all)-1)
	}
	if status, _, _, text := sayPlain(
		t, http.MethodPost, url+"/v1/leases", `{"source": "web", "name": "Size_1", "labels": {"a": "b"}}`,
	); status != 201 {
		t.Errorf("status = %d text = %s; want status == 201", status, text)
	}
	if status, _, _, text := sayPlain(t, http.MethodPost, url+"/v1/leases/Size_1/extend", ""); status != 200 {
		t.Errorf("extend without a body: %d %s", status, text)
	}
}

// TestMethods: a path that there is, asked for in another way, says which ways there are.
func TestMethods(t *testing.T) {
	url := known(t, engine(t))
	for _, c := range []struct {
		method, path, allow string
		status              int
	}{
		{http.MethodPut, "/v1/leases", "GET, HEAD, POST", 405},
		{http.MethodDelete, "/v1/sources/web", "GET, HEAD", 405},
		{http.MethodGet, "/v1/release", "POST", 405},
		{http.MethodPatch, "/v1/leases/x", "DELETE, GET, HEAD", 405},
		{http.MethodGet, "/v1/nothing", "", 404},
	} {
		status, h, _, text := sayPlain(t, c.method, url+c.path, "")
		if status != c.status || h.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q: %s", c.method, c.path, status, h.Get("Allow"), text)
		}
	}
}

// keeper is a memory that keeps answers when it is told to, or fails.
type keeper struct {
	memory
	fails error
	kept  []store.Answer
}

func (k *keeper) Keep(_ context.Context, a store.Answer) error {
	k.mu.Lock()
	k.kept = append(k.kept, a)
	k.mu.Unlock()
	if k.fails == nil {
		k.Remember(a)
	}
	return k.fails
}

// slowWriter counts what was kept when the answer begins.
type slowWriter struct {
	http.ResponseWriter
	k    *keeper
	seen *int
}

func (w slowWriter) WriteHeader(status int) {
	w.k.mu.Lock()
	*w.seen = len(w.k.kept)
	w.k.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

// TestKeptFirst: what has no leases to be found by is kept before it is answered; one that cannot
// be kept is answered all the same.
func TestKeptFirst(t *testing.T) {
	for _, fails := range []error{nil, io.ErrShortWrite} {
		e := engine(t, pool.Source{Name: "full", Type: "fake", Digest: "d", Reserve: 1})
		k := &keeper{memory: memory{all: map[string]store.Answer{}}, fails: fails}
		h := server.New(server.Options{
			Engine:    func() server.Engine { return whole(e) },
			Version:   "test",
			Identity:  func() api.Identity { return api.Identity{} },
			Replies:   k,
			Callers:   server.Callers{Authenticate: authenticate},
			Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
			Telemetry: server.Telemetry{Log: slog.New(slog.DiscardHandler)},
		})
		seen := 0
		srv := httptest.NewServer(
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(slowWriter{w, k, &seen}, r) }),
		)
		t.Cleanup(srv.Close)
		first := mustPost(t, 200, srv.URL+"/v1/fill", "root", "f", "")
		if seen != 1 || !strings.Contains(string(first.text), `"full-1"`) {
			t.Errorf("%d were kept when it was answered: %s", seen, first.text)
		}
		again := mustPost(t, 200, srv.URL+"/v1/fill", "root", "f", "")
		if !again.replayed || string(again.text) != string(first.text) {
			t.Errorf("and then %s", again.text)
		}
		mustPost(t, 409, srv.URL+"/v1/fill?source=web", "root", "f", "")
		mustPost(t, 404, srv.URL+"/v1/fill?source=nothing", "root", "g", "")
		if mustPost(t, 200, srv.URL+"/v1/fill?source=web", "root", "g", ""); len(k.kept) != 2 {
			t.Errorf("%d were kept", len(k.kept))
		}
	}
}

// hanging is a way to a provider that answers when it wants to, whatever who asks has in mind.
type hanging func() error

func (h hanging) RoundTrip(*http.Request) (*http.Response, error) { return nil, h() }

// TestProviderOfSignInsHangs: strangers who ask for the provider's page while that does not answer
// are few, and nobody else waits for them.
func TestProviderOfSignInsHangs(t *testing.T) {
	asked, answer := make(chan struct{}, 100), make(chan struct{})
	provider, err := signin.New(signin.Options{Issuer: "https://id.example.org", ClientID: "hostler",
		Domains: []string{"*"}, Transport: hanging(func() error {
			asked <- struct{}{}
			<-answer
			return errors.New("it does not answer")
		})})
	if err != nil {
		t.Fatal(err)
	}
	e := engine(t)
	ring := auth.NewTokenRegistry(nil, auth.TokenRegistryOptions{})
	srv := httptest.NewServer(server.New(server.Options{
		Engine:   func() server.Engine { return whole(e) },
		Version:  "test",
		Identity: func() api.Identity { return api.Identity{} },
		Callers: server.Callers{
			Authenticate: authenticate, Sessions: ring,
			SignIn: func() login.SignIn { return login.SignIn{Provider: provider} },
		},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	}))
	t.Cleanup(srv.Close)
	login := func() int {
		answer, err := http.Get(srv.URL + "/login")
		if err != nil {
			return 0
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	var all sync.WaitGroup
	statuses := make(chan int, 100)
	for range 16 {
		all.Go(func() { statuses <- login() })
	}
	for range 16 {
		<-asked
	}
	if got := login(); got != http.StatusTooManyRequests {
		t.Errorf("one more: %d", got)
	}
	if status, _, _, text := sayPlain(t, http.MethodGet, srv.URL+"/v1/sources", ""); status != 200 {
		t.Errorf("somebody who is known: %d %s", status, text)
	}
	close(answer)
	all.Wait()
	for range 16 {
		if got := <-statuses; got != http.StatusServiceUnavailable {
			t.Errorf("those that were let: %d", got)
		}
	}
}

// TestTokenNames: a token is for a project and a source that there are.
func TestTokenNames(t *testing.T) {
	w := newTown(t, func(o *server.Options) {
		o.Scope.Sources = func(name string) bool { return name == "web" || name == "alpha" }
	})
	for body, want := range map[string]struct {
		status int
		says   string
	}{
		`{"project": "x"}`:    {404, "there are a"},
		`{"source": "wbe"}`:   {404, "no such source"},
		`{"name": "x\u001b"}`: {400, "cannot be seen"},
		`{"project": "a"}`:    {201, ""},
		`{"source": "web"}`:   {201, ""},
	} {
		status, _, _, text := sayPlain(t, http.MethodPost, w.url+"/v1/tokens", body, "Authorization", "Bearer "+w.tokens["ann"])
		if status != want.status || !strings.Contains(text, want.says) {
			t.Errorf("%s: status = %d text = %s; want status == want.status and text with want.says", body, status, text)
		}
	}
}
