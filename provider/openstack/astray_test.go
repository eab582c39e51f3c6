package openstack_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// TestServiceNotFound has a cloud, or a proxy before it, say 404 to lists and to log-ins for a
// while: that proves of no server that it is gone.
func TestServiceNotFound(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		expire             bool // the token counts no more
		anew               bool // for who has not logged in yet
	}{
		{"list of servers", "GET", "/servers", false, false},
		{"log in again", "POST", "/auth/tokens", true, false},
		{"log in", "POST", "/auth/tokens", false, true},
		{"ports", "GET", "/ports", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(t)
			p := simProvider(t, s, openstack.SessionOptions{})
			if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
				t.Fatal(err)
			}
			var lost atomic.Bool
			lost.Store(true)
			away := first(1e9, c.method, c.path, status(404, "", "<html><title>404 Not Found</title>nginx</html>"))
			s.refuse = func(w http.ResponseWriter, r *http.Request) bool { return lost.Load() && away(w, r) }
			if c.expire {
				s.mu.Lock()
				s.token++
				s.mu.Unlock()
			}
			if c.anew {
				p = simProvider(t, s, openstack.SessionOptions{})
			}
			if c.path == "/ports" {
				// asks for the end of the server itself
				if err := p.Destroy(t.Context(), "web-1"); err != nil {
					t.Fatal(err)
				}
			}
			for what, err := range map[string]error{"Destroy": p.Destroy(t.Context(), "web-1"), "Check": p.Check(t.Context(), "web-1")} {
				if what == "Check" && c.path == "/ports" {
					continue // it is gone
				}
				if !errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrNotFound) ||
					!strings.Contains(err.Error(), "404") || !strings.Contains(compute.Hint(err), "auth_url") {
					t.Errorf("%s: %v, which must not say that it is gone", what, err)
				}
			}
			lost.Store(false)
			destroy(t, p, "web-1")
			if len(s.servers)+len(s.ports) != 0 {
				t.Errorf("left: %d servers, %d ports", len(s.servers), len(s.ports))
			}
		})
	}
}

// TestTroubleIsNotKept has each list fail once: what was heard of it does not count for as long as
// the list would.
func TestTroubleIsNotKept(t *testing.T) {
	for _, path := range []string{"/flavors", "/images", "/networks", "/ports"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := newSim(t)
			s.refuse = first(1, "GET", path, status(500, "", ""))
			p := simProvider(t, s, openstack.SessionOptions{})
			if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err == nil {
				t.Fatal("the trouble was not told")
			}
			until(t, "it is made afterwards", func() error {
				_, err := p.Create(t.Context(), compute.Spec{ID: "web-1"})
				return err
			})
		})
	}
}
