package callers

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestCaller: the first way by which a request can be known decides, also if it does not count.
func TestCaller(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	members := NewRoles([]string{"ada"}, []*config.Project{{Name: "web", Members: map[string]string{"ann": "user"}}}).Of
	ring := auth.NewTokenRegistry(st, auth.TokenRegistryOptions{Members: members, Reserved: Reserved})
	secret, err := ring.Make(t.Context(), &auth.Token{Kind: auth.TokenOf, Owner: "ann"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	const own = "the token of the token file"
	a := New(Options{Tokens: ring, AdministratorToken: own, Members: members})
	inProcess := context.WithValue(t.Context(), processKey{}, Namespace("prod"))
	socket := context.WithValue(t.Context(), peerKey{}, peer{os.Geteuid()})
	me := UserName(os.Geteuid())
	for _, c := range []struct {
		name   string
		ctx    context.Context
		method string
		header []string
		tls    bool
		want   string // "": unknown
		admin  bool
	}{
		{name: "nothing"},
		{name: "in process", ctx: inProcess, want: "kubernetes:prod"},
		{name: "in process, before a token", ctx: inProcess, header: []string{"Authorization", "Bearer " + own}, want: "kubernetes:prod"},
		{name: "socket", ctx: socket, want: me, admin: true},
		{name: "token", header: []string{"Authorization", "Bearer " + secret}, want: "ann"},
		{name: "token in lower case", header: []string{"Authorization", "bearer " + secret}, want: "ann"},
		{name: "token, before the socket", ctx: socket, header: []string{"Authorization", "Bearer " + secret}, want: "ann"},
		{name: "wrong token, before the socket", ctx: socket, header: []string{"Authorization", "Bearer x"}},
		{name: "password", header: []string{"Authorization", "Basic " + secret}},
		{name: "token file", header: []string{"Authorization", "Bearer " + own}, want: me, admin: true},
		{name: "session", header: []string{"Cookie", "hostler-session=" + secret}, want: "ann"},
		{name: "session, after the socket", ctx: socket, header: []string{"Cookie", "hostler-session=" + secret}, want: me, admin: true},
		{name: "session that changes something", method: "POST", header: []string{"Cookie", "hostler-session=" + secret}},
		{name: "session, by TLS, in a cookie that others may set", tls: true, header: []string{"Cookie", "hostler-session=" + secret}},
		{name: "session, by TLS", tls: true, header: []string{"Cookie", "__Host-hostler-session=" + secret}, want: "ann"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/self", nil)
		if c.method != "" {
			r.Method = c.method
		}
		if c.ctx != nil {
			r = r.WithContext(c.ctx)
		}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Set(c.header[i], c.header[i+1])
		}
		p, err := a.Caller(r)
		if p.Name != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, compute.ErrDenied) || p.Admin() != c.admin {
			t.Errorf("%s: got %q (administrator: %v), %v; want %q", c.name, p.Name, p.Admin(), err, c.want)
		}
	}
	without := New(Options{Tokens: ring, Members: members})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if p, err := without.Holder(r, ""); err == nil {
		t.Errorf("no token file, and an empty token: got %q, want an error", p.Name)
	}
}

// TestConnContext: only connections that a process listener made for a caller are known as such.
func TestConnContext(t *testing.T) {
	l := NewProcessListener()
	defer l.Close()
	for name, dial := range map[string]func(context.Context) (net.Conn, error){"": l.Dial, "kubernetes:a": l.DialAs(Namespace("a"))} {
		go func() {
			if c, err := dial(t.Context()); err == nil {
				_ = c.Close()
			}
		}()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ConnContext(t.Context(), c))
		if p, ok, err := byProcess(r); p.Name != name || ok != (name != "") || err != nil {
			t.Errorf("got %q, %v, %v; want %q", p.Name, ok, err, name)
		}
		_ = c.Close()
	}
}

// TestReserved: names of the machine and of namespaces are nobody's elsewhere.
func TestReserved(t *testing.T) {
	for name, want := range map[string]bool{
		"root": true, "Root": true, UserName(os.Geteuid()): true, "kubernetes:web": true, "Kubernetes:web": true,
		"ann": false, "kubernetes": false, "": false,
	} {
		if got := Reserved(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}

// TestRoles: a user has the highest of the roles that its name and its groups give, by project.
func TestRoles(t *testing.T) {
	some := NewRoles([]string{"ada"}, []*config.Project{
		{Name: "a", Members: map[string]string{"ann": "viewer", "bob": "operator"}, Groups: map[string]string{"staff": "user"}},
		{Name: "b", Groups: map[string]string{"staff": "viewer", "ops": "operator"}},
	})
	for _, c := range []struct {
		name   string
		groups []string
		every  auth.Role
		in     map[string]auth.Role
	}{
		{"ann", nil, auth.Nobody, map[string]auth.Role{"a": auth.Viewer}},
		{"ann", []string{"staff"}, auth.Nobody, map[string]auth.Role{"a": auth.User, "b": auth.Viewer}},
		{"bob", []string{"staff", "ops"}, auth.Nobody, map[string]auth.Role{"a": auth.Operator, "b": auth.Operator}},
		{"eve", []string{"else"}, auth.Nobody, map[string]auth.Role{}},
		{"eve", nil, auth.Nobody, nil},
		{"ada", nil, auth.Administrator, nil},
		{UserName(0), nil, auth.Administrator, nil},
	} {
		if every, in := some.Of(c.name, c.groups); every != c.every || !maps.Equal(in, c.in) {
			t.Errorf("%s in %q: got %v, %v; want %v, %v", c.name, c.groups, every, in, c.every, c.in)
		}
	}
	if _, in := NewRoles(nil, nil).Of("eve", nil); in[""] != auth.User {
		t.Errorf("without projects: got %v, want everybody to be a user", in)
	}
}

// TestSpend: a proof is good once.
func TestSpend(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for i, want := range []error{nil, compute.ErrDenied, compute.ErrDenied} {
		if err := Spend(st)(t.Context(), "proof"); !errors.Is(err, want) {
			t.Errorf("time %d: got %v, want %v", i+1, err, want)
		}
	}
	if err := Spend(st)(t.Context(), "another"); err != nil {
		t.Errorf("another proof: %v", err)
	}
}
