package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/hostler-project/hostler/auth"
)

// TestForwarded: a proxy's word for the address of a request counts, and nobody else's.
func TestForwarded(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, test := range []struct{ from, said, want string }{
		{"10.1.1.1", "192.0.2.1", "192.0.2.1"},
		{"10.1.1.1", "", "10.1.1.1"},
		{"10.1.1.1", "203.0.113.9, 192.0.2.1", "192.0.2.1"}, // the first is a caller's own word
		{"10.1.1.1", "192.0.2.1, 10.2.2.2", "192.0.2.1"},
		{"10.1.1.1", "192.0.2.1, nonsense", "10.1.1.1"},
		{"2001:db8::1", "2001:db9::1%evil", "2001:db9::1"},
		{"192.0.2.7", "192.0.2.1", "192.0.2.7"},
		{"", "192.0.2.1", ""},
	} {
		r := from(test.from)
		if test.said != "" {
			r.Header.Set("X-Forwarded-For", test.said)
		}
		got := "nothing"
		auth.Forwarded(func() []netip.Prefix { return proxies }, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = auth.RemoteHost(r)
		})).ServeHTTP(httptest.NewRecorder(), r)
		if got != test.want {
			t.Errorf("from %q by %q: got %q, want %q", test.said, test.from, got, test.want)
		}
	}
}
