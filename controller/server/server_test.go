package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/pool/pooltest"
	"github.com/hostler-project/hostler/provider/fake"
)

const maximum = 4

// engine is a lease engine over one source of computers in memory.
func engine(t testing.TB, more ...pool.Source) *pool.Pool {
	t.Helper()
	return pooltest.New(
		t, append([]pool.Source{{Name: "web", Type: "fake", Digest: "d", Maximum: maximum}}, more...),
		pooltest.RigOptions{Fake: fake.Options{Exec: "exec", Cores: 4, Memory: 1 << 20}},
	).Pool
}

// authenticate knows people by names as tokens; root is an administrator.
func authenticate(r *http.Request) (auth.Principal, error) {
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || name == "" {
		return auth.Principal{}, &compute.Error{Kind: compute.ErrDenied, Err: errors.New("who are you?")}
	}
	p := auth.Principal{Name: name, Roles: map[string]auth.Role{"": auth.User}}
	if name == "root" {
		p.Everywhere = auth.Administrator
	}
	return p, nil
}

// everything is an engine with all of its parts.
type everything interface {
	compute.Leaser
	inventory.Book
	inventory.Operator
	inventory.Waiters
	server.Slots
}

func whole(e everything) server.Engine {
	return server.Engine{Leaser: e, Book: e, Operator: e, Waiters: e, Slots: e}
}

// serve has a handler answer on a loopback address, and returns its URL.
func serve(t testing.TB, e everything) string { return serveObserved(t, e, nil) }

// serveObserved is serve with somebody who hears of each request.
func serveObserved(t testing.TB, e everything, observe func(method, route string, status int, took time.Duration)) string {
	t.Helper()
	srv := httptest.NewServer(server.New(server.Options{
		Engine:    func() server.Engine { return whole(e) },
		Version:   "test",
		Identity:  func() api.Identity { return api.Identity{} },
		Callers:   server.Callers{Authenticate: authenticate},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
		Telemetry: server.Telemetry{Observe: observe},
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func connect(t testing.TB, url, who string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{URL: url, Token: who})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// atURL is a leaser by its address, as somebody.
type atURL struct {
	*client.Client
	url string
}

// TestLeaser: through HTTP a controller is what its engine is.
func TestLeaser(t *testing.T) {
	computetest.Leaser(t, computetest.LeaserOptions{
		Source: "web", Maximum: maximum, Shared: "big",
		New: func(t *testing.T) compute.Leaser {
			url := serve(t, engine(t, pool.Source{Name: "big", Type: "fake", Digest: "d", Maximum: 2, Reserve: 2, Share: true}))
			return atURL{connect(t, url, "ann"), url}
		},
		As: func(t *testing.T, l compute.Leaser, owner string) compute.Leaser {
			url := l.(atURL).url
			return atURL{connect(t, url, owner), url}
		},
	})
}

// TestConn: so is a way into an instance.
func TestConn(t *testing.T) {
	c := connect(t, serve(t, engine(t)), "ann")
	ls, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	computetest.Conn(t, computetest.ConnOptions{
		New: func(t *testing.T) compute.Conn {
			conn, err := c.Connect(t.Context(), compute.Who{Owner: "ann"}, ls[0].Instance)
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
		// WebSocket touches each byte; this is still more than mostGrowth
		Dir: t.TempDir(), Marked: true, Huge: 64 << 20,
	})
}

// TestNobody: each path of the document refuses whoever is not known, and those that are none of it
// too.
func TestNobody(t *testing.T) {
	url := serve(t, engine(t))
	tried := 0
	try := func(method, path string) {
		tried++
		req, err := http.NewRequestWithContext(
			t.Context(), method, url+strings.NewReplacer("{", "", "}", "").Replace(path), strings.NewReader("{}"),
		)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s by nobody: %s %s", method, path, answer.Status, text)
		}
	}
	for _, op := range operations(t, url) {
		if op.Permission != auth.Anyone.String() {
			try(strings.ToUpper(op.method), op.path)
		}
	}
	for _, path := range []string{"/", "/v1", "/v2/leases", "/metrics", "/healthz/x"} {
		try(http.MethodGet, path)
	}
	if tried < 15 {
		t.Errorf("only %d tried", tried)
	}
}

// TestUnixSocket: a client reaches a controller by its socket.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	e := engine(t)
	srv := httptest.NewUnstartedServer(server.New(server.Options{
		Engine:   func() server.Engine { return whole(e) },
		Version:  "test",
		Identity: func() api.Identity { return api.Identity{} },
		Callers: server.Callers{Authenticate: func(*http.Request) (auth.Principal, error) {
			return auth.Principal{Name: "ann", Here: true, Roles: map[string]auth.Role{"": auth.User}}, nil
		}},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	}))
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	c, err := client.New(client.Options{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ls, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: 1})
	if err != nil || len(ls) != 1 || ls[0].Owner != "ann" {
		t.Fatalf(`ls = %v, err = %v; want no error and len(ls) == 1 and ls[0].Owner == "ann"`, ls, err)
	}
	sources, err := c.Status(t.Context())
	if err != nil || len(sources) != 1 || sources[0].Counts.Leased != 1 || sources[0].Maximum != maximum {
		t.Errorf("sources: %+v, %v", sources, err)
	}
	i, lease, err := c.Resolve(t.Context(), ls[0].ID)
	if err != nil || i.State != compute.Leased || lease == nil || lease.ID != ls[0].ID {
		t.Errorf("Resolve: %+v, %+v, %v", i, lease, err)
	}
}
