package openstack_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack"
)

func simProvider(t testing.TB, s *sim, o openstack.SessionOptions) *openstack.Provider {
	return simSource(t, s, o, nil)
}

// simSource is a source of the simulation, whose options may be changed first.
func simSource(t testing.TB, s *sim, o openstack.SessionOptions, change func(*openstack.Options)) *openstack.Provider {
	t.Helper()
	if o.Rate == 0 {
		o.Rate = 1e6
	}
	if o.Backoff == 0 {
		o.Backoff = time.Millisecond
	}
	opt := openstack.Options{
		Image: "debian", Source: "web", Installation: "inst", Dir: t.TempDir(), Session: s.session(t, o),
		Poll: 10 * time.Millisecond, HostKey: "known-hosts",
	}
	if change != nil {
		change(&opt)
	}
	p, err := openstack.Open(t.Context(), slog.New(slog.DiscardHandler), opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// first answers the first n requests of a method and path in place of the cloud.
func first(n int64, method, path string, do func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
	var left atomic.Int64
	left.Store(n)
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, path) || left.Add(-1) < 0 {
			return false
		}
		do(w)
		return true
	}
}

func status(code int, after, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

// TestBadWeather has a cloud refuse, and looks what is repeated and what is not.
func TestBadWeather(t *testing.T) {
	quota := `{"overLimit": {"code": 413, "message": "VolumeLimitExceeded: Maximum number of volumes allowed (1) exceeded for quota 'volumes'.", "retryAfter": "0"}}`
	for _, c := range []struct {
		name   string
		n      int64 // so many are refused
		method string
		path   string
		do     func(http.ResponseWriter)
		kind   error // nil: Create succeeds
		asked  int   // requests of that method and path; 0: not counted
	}{
		{"429 to what asks", 2, "GET", "/servers", status(429, "0", ""), nil, 0},
		{"429 to what makes", 2, "POST", "/servers", status(429, "1", ""), nil, 3},
		{"503 that says when", 1, "POST", "/servers", status(503, "1", ""), nil, 2},
		{"503 that does not say", 1, "POST", "/servers", status(503, "", ""), compute.ErrUnavailable, 1},
		{"503 to what asks", 3, "GET", "/images", status(503, "", ""), nil, 4},
		{"502 for ever", 1e6, "GET", "/images", status(502, "", ""), compute.ErrUnavailable, 5},
		{"413 of a rate", 1, "POST", "/ports", status(413, "1", ""), nil, 2},
		{"413 of a quota", 1e6, "POST", "/ports", status(413, "0", quota), compute.ErrNoCapacity, 1},
		{"longer than we wait", 1e6, "POST", "/ports", status(429, "3600", ""), compute.ErrUnavailable, 1},
		{
			"403 of a role", 1e6, "POST", "/servers",
			status(403, "", `{"forbidden": {"code": 403, "message": "Policy doesn't allow it to be performed."}}`),
			compute.ErrDenied, 1,
		},
		{"no JSON", 1e6, "GET", "/networks", func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, compute.ErrFailed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSim(t)
			s.refuse = first(c.n, c.method, c.path, c.do)
			p := simProvider(t, s, openstack.SessionOptions{})
			in, err := p.Create(t.Context(), compute.Spec{ID: "web-1"})
			if c.kind == nil && (err != nil || in.ID != "web-1") || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("Create: %+v, %v", in, err)
			}
			if got := s.count(c.method + " " + strings.TrimPrefix(c.path, "/")); c.asked > 0 && got != c.asked {
				t.Errorf("%s %s was asked %d times, want %d", c.method, c.path, got, c.asked)
			}
		})
	}
}

// TestTokenExpires has the token not count any more, in the middle, for many at once.
func TestTokenExpires(t *testing.T) {
	s := newSim(t)
	p := simProvider(t, s, openstack.SessionOptions{})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.token++
	s.mu.Unlock()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if all, err := p.List(t.Context()); err != nil || len(all) != 1 {
				t.Errorf("List: %v, %v", all, err)
			}
		})
	}
	wg.Wait()
	s.refuse = first(
		1e6, "POST", "/auth/tokens",
		status(401, "", `{"error": {"code": 401, "message": "The password is expired and needs to be changed for user: u."}}`),
	)
	s.mu.Lock()
	s.token++
	s.mu.Unlock()
	if _, err := p.List(t.Context()); !errors.Is(err, compute.ErrDenied) || !strings.Contains(err.Error(), "expired") ||
		strings.Contains(err.Error(), "sesame") {
		t.Errorf("the log-in is refused: %v", err)
	}
}

// TestDown has the way to the cloud be gone for a while. It is no answer about servers, and nothing
// has to be opened anew afterwards.
func TestDown(t *testing.T) {
	s := newSim(t)
	var down atomic.Bool
	down.Store(true)
	s.refuse = func(http.ResponseWriter, *http.Request) bool {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	p := simProvider(t, s, openstack.SessionOptions{})
	_, err := p.Create(t.Context(), compute.Spec{ID: "web-1"})
	if !errors.Is(err, compute.ErrUnavailable) || openstack.ReasonOf(err) != openstack.Down {
		t.Errorf("Create: %v", err)
	}
	if !provider.WasUnasked(err) {
		t.Errorf("Create: %v: it says that something may have been made, and the log-in failed", err)
	}
	down.Store(false)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
		t.Fatalf("Create, afterwards: %v", err)
	}
	down.Store(true)
	if err := p.Destroy(t.Context(), "web-1"); !errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Destroy: %v, which must not say that it is gone", err)
	}
	if _, err := p.Connect(t.Context(), "web-1"); errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Connect: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("List, cancelled: %v", err)
	}
	down.Store(false)
	if all, err := p.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("List, afterwards: %v, %v", all, err)
	}
}

// TestLostAnswers loses the answer to each request that makes something: it is found again, and
// there is one of each.
func TestLostAnswers(t *testing.T) {
	for _, path := range []string{"/os-keypairs", "/ports", "/servers"} {
		t.Run(path, func(t *testing.T) {
			s := newSim(t)
			lost := first(1, "POST", path, func(http.ResponseWriter) {})
			s.deafen = func(r *http.Request) bool { return lost(nil, r) }
			p := simProvider(t, s, openstack.SessionOptions{})
			if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err == nil {
				t.Fatal("the lost answer was not missed")
			}
			in, err := p.Create(t.Context(), compute.Spec{ID: "web-1"})
			if err != nil || len(s.servers) != 1 || len(s.ports) != 1 || len(s.keys) != 1 || in.ProviderID != s.servers[0].id {
				t.Errorf("%+v, %v: %d servers, %d ports, %d keys", in, err, len(s.servers), len(s.ports), len(s.keys))
			}
			destroy(t, p, "web-1")
			if len(s.servers)+len(s.ports)+len(s.keys) != 0 {
				t.Errorf("left: %d servers, %d ports, %d keys", len(s.servers), len(s.ports), len(s.keys))
			}
		})
	}
}

// TestOthersServers looks at servers that are called as ours: of nobody, of another installation,
// of another source; and at one of ours that is there twice.
func TestOthersServers(t *testing.T) {
	s := newSim(t)
	p := simProvider(t, s, openstack.SessionOptions{})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
		t.Fatal(err)
	}
	mine := s.servers[0]
	mark := func(installation, source string) map[string]string {
		return openstack.Mark{Installation: installation, Source: source, Instance: "web-1"}.Metadata()
	}
	s.mu.Lock()
	s.servers = append(s.servers, &simServer{id: "x1", name: "web-1", made: mine.made}, &simServer{
		id: "x2", name: "web-1", metadata: mark("other", "web"), made: mine.made,
	},
		&simServer{id: "x3", name: "web-1", metadata: mark("inst", "web-1"), made: mine.made}, &simServer{
			id: "x4", name: "web-1", metadata: mine.metadata, made: mine.made.Add(time.Minute),
		})
	s.ports["foreign"] = map[string]any{
		"id": "foreign", "name": "web-1",
		"description": openstack.Mark{Installation: "other", Source: "web", Instance: "web-1"}.Description(),
		"network_id":  "n1",
	}
	s.flavors = nil // and the flavor was deleted while it is in use
	s.mu.Unlock()
	p.Session().Catalog().Forget()
	in, err := p.Create(t.Context(), compute.Spec{ID: "web-1"})
	if err != nil || in.ProviderID != mine.id || len(s.servers) != 4 {
		t.Errorf("Create: %+v, %v, and there are %d servers, want the older one of ours, and the younger gone", in, err, len(s.servers))
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 1 || all[0].Facts["cores"] != "" {
		t.Errorf("List: %+v, %v", all, err)
	}
	destroy(t, p, "web-1")
	if len(s.servers) != 3 || len(s.ports) != 1 {
		t.Errorf("%d servers and %d ports are left, want the 3 and the 1 of others", len(s.servers), len(s.ports))
	}
}

// TestManyWaitTogether has a thousand wait for their servers: they are looked at all at once,
// whichever page they are on.
func TestManyWaitTogether(t *testing.T) {
	s := newSim(t)
	s.page = 100
	p := simProvider(t, s, openstack.SessionOptions{})
	var wg sync.WaitGroup
	for i := range 250 {
		wg.Go(func() {
			if _, err := p.Create(t.Context(), compute.Spec{ID: compute.ID(fmt.Sprintf("web-%d", i))}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	before := s.count("GET servers")
	for i := range 250 {
		wg.Go(func() {
			if err := p.Check(t.Context(), compute.ID(fmt.Sprintf("web-%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// three pages a look; each look serves all who came before it began
	if n := s.count("GET servers") - before; n > 60 {
		t.Errorf("250 servers were looked at with %d requests", n)
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 250 {
		t.Errorf("List: %d, %v", len(all), err)
	}
}
