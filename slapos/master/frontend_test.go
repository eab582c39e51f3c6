package master_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/legacy"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
)

func TestParseFrontends(t *testing.T) {
	all, bad := master.ParseFrontends([]string{"/software/apache-frontend/software.cfg url", "/software/kvm/software.cfg frontend host"})
	if want := master.DefaultFrontends(); bad != "" || len(all) != 2 || all[0] != want[0] || all[1] != want[1] {
		t.Errorf(`all = %v, bad = %q; want bad == "" and len(all) == 2 and all[0] == want[0] and all[1] == want[1]`, all, bad)
	}
	for _, line := range []string{"x", "x y", "a b c url", "url", "none x"} {
		if _, bad := master.ParseFrontends([]string{line}); bad != line {
			t.Errorf("%q is taken", line)
		}
	}
	for _, lines := range [][]string{nil, {"none"}} {
		if all, bad := master.ParseFrontends(lines); bad != "" || all == nil || len(all) != 0 {
			t.Errorf(`%q: all = %v, bad = %q; want bad == "" and all != nil and len(all) == 0`, lines, all, bad)
		}
	}
}

// TestFrontends: who asks over https is led through the master, where that leads on, and where
// there are none a real frontend is asked for.
func TestFrontends(t *testing.T) {
	const release = "https://x.example/software/apache-frontend/software.cfg"
	form, err := (&proto.Request{
		Title: "f", Release: release, Shared: true,
		Parameters: proto.Dictionary{"url": "http://[2001:db8::1]:8080/a?b=c"},
	}).Form()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opt    master.Options
		base   string
		status int
		says   string
	}{
		{master.Options{}, "https://m.example/", 200, "<string>http://[2001:db8::1]:8080/a?b=c</string>"},
		{master.Options{Forwards: true}, "http://m.example/", 200, "<string>http://[2001:db8::1]:8080/a?b=c</string>"},
		{
			master.Options{Forwards: true}, "https://m.example/", 200,
			"<string>https://m.example/http_proxy/http/[2001:db8::1]:8080/a?b=c</string>",
		},
		{master.Options{Frontends: []master.Frontend{}}, "http://m.example/", 404, "No partition corresponding"},
	} {
		h := legacy.New(newRig(t, c.opt).Master, wire.Options{Base: func(*http.Request) string { return c.base }})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/requestComputerPartition", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%+v: w.Code = %d w.Body = %s; want w.Code == c.status and w.Body.String() with c.says", c, w.Code, w.Body)
		}
	}
}
