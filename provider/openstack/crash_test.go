package openstack_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// mortal lets requests through until the n-th that changes something: that one is sent, and then
// the process is dead, so that it never hears the answer.
type mortal struct {
	http.RoundTripper
	mu   sync.Mutex
	left int
	died string // at which request; "": it lives
}

var errDead = errors.New("this process is dead")

func (m *mortal) RoundTrip(req *http.Request) (*http.Response, error) {
	changes := req.Method != http.MethodGet && !strings.HasSuffix(req.URL.Path, "/auth/tokens")
	m.mu.Lock()
	dead := m.died != ""
	dies := changes && !dead && m.left == 0
	if dies {
		m.died = req.Method + " " + req.URL.Path
	}
	if changes {
		m.left--
	}
	m.mu.Unlock()
	if dead {
		return nil, errDead
	}
	resp, err := m.RoundTripper.RoundTrip(req)
	if dies && err == nil {
		resp.Body.Close()
		return nil, errDead
	}
	return resp, err
}

// dying opens a source in a process that dies after its n-th request that changes something.
func dying(t *testing.T, o openstack.Options, n int) (*openstack.Provider, *mortal) {
	t.Helper()
	cred, err := credentials.Find(credentials.Where{Cloud: o.Cloud, File: o.CloudsFile, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	m := &mortal{RoundTripper: base, left: n}
	if o.Session, err = openstack.NewSession(cred, openstack.SessionOptions{Rate: 100, Retries: -1, Base: m}); err != nil {
		t.Fatal(err)
	}
	return openAt(t, o), m
}

// TestKilledAtEachRequest has the process die after each request of Create, so that it never hears
// that it was done, has another go on or give up, has that die over Destroy in the same way, and a
// third end it. Nothing is left, and there was never a second server.
func TestKilledAtEachRequest(t *testing.T) {
	base := options(t)
	base.FloatingIP = true
	s := session(t, "lab")
	tiny, err := s.Catalog().Flavor(t.Context(), "lab.tiny")
	if err != nil {
		t.Fatal(err)
	}
	base.Disk = int64(tiny.Disk+1) << 30 // so that it boots from a volume
	requests := []string{"ports", "floatingips", "volumes", "os-keypairs", "servers"}
	slots := make(chan bool, 2) // the lab is small
	for n, want := range requests {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			slots <- true
			defer func() { <-slots }()
			o := base
			o.Source, o.Dir = "os"+random(), t.TempDir()
			id := compute.ID(o.Source + "-1")
			end := openAt(t, o)
			t.Cleanup(func() { destroy(t, end, id) }) // whatever becomes of the test
			p, m := dying(t, o, n)
			if _, err := p.Create(t.Context(), compute.Spec{ID: id}); !errors.Is(err, errDead) &&
				!strings.Contains(fmt.Sprint(err), errDead.Error()) {
				t.Fatalf("killed after %s: %v", m.died, err)
			}
			if !strings.HasSuffix(m.died, want) {
				t.Fatalf("died at %s, want %s", m.died, want)
			}
			if n%2 == 0 {
				q := openAt(t, o)
				a := create(t, q, compute.Spec{ID: id})
				if b, err := openAt(t, o).Create(t.Context(), compute.Spec{ID: id}); err != nil || a.ProviderID != b.ProviderID {
					t.Errorf("made again it is another one: %+v, %+v, %v", a, b, err)
				}
				count := 0
				for _, x := range left(t, s, o.Source) {
					if strings.HasPrefix(x, "server") || strings.HasPrefix(x, "port") {
						count++
					}
				}
				if count != 2 {
					t.Errorf("a server and its port are %d: %q", count, left(t, s, o.Source))
				}
			}
			for range 4 { // server, floating IP, port, and what comes then
				p, _ := dying(t, o, 0)
				if err := p.Destroy(t.Context(), id); errors.Is(err, compute.ErrNotFound) {
					break
				}
			}
			destroy(t, end, id)
			if rest := left(t, s, o.Source); len(rest) > 0 {
				t.Errorf("killed at %s: left behind: %q", m.died, rest)
			}
		})
	}
}
