package slapos

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestGuardCounts: what comes with a wrong secret counts as a failure of its address. A known
// caller that may not do something is no such failure, and has the limits of known callers.
func TestGuardCounts(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, c := range []struct {
		name, header, value string
		as                  auth.Principal
		served              int // before the first refusal; 10: there is none
	}{
		{"nothing", "", "", auth.Principal{}, 10},
		{"a wrong token", "Authorization", "Bearer x", auth.Principal{}, 2},
		{"a wrong token for a certificate", "X-Access-Token", "x", auth.Principal{}, 2},
		{"a session that has ended", "Cookie", "hostler-session=x", auth.Principal{}, 2},
		{"a known caller that tries tokens for certificates", "X-Access-Token", "x", auth.Principal{Name: "ann"}, 2},
		{"a known caller without a role", "Authorization", "Bearer x", auth.Principal{Name: "ann"}, 5},
	} {
		o := &Options{
			Audit: auth.NewLog(st, auth.AuditOptions{}), Observe: func(string, string, int, time.Duration) {},
			Limits: auth.NewLimits(auth.LimitOptions{Failures: 0.01, FailureBurst: 2, Requests: 0.01, RequestBurst: 5}),
		}
		g := newGuard(o, func(*http.Request) (access.Who, auth.Principal, error) {
			return access.Who{}, c.as, errors.New("no")
		}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := callerOf(r); err == nil {
				t.Errorf("%s: the master is not told that the caller is refused", c.name)
			}
			http.Error(w, "no", http.StatusForbidden)
		}))
		served := 0
		for range 10 {
			r, w := httptest.NewRequest(http.MethodGet, "/getRunId", nil), httptest.NewRecorder()
			if c.header != "" {
				r.Header.Set(c.header, c.value)
			}
			if g.ServeHTTP(w, r); w.Code == http.StatusTooManyRequests {
				if after := w.Header().Get("Retry-After"); after != "100" {
					t.Errorf("%s: got Retry-After %q, want 100", c.name, after)
				}
				break
			}
			served++
		}
		if served != c.served {
			t.Errorf("%s: %d requests were served, want %d", c.name, served, c.served)
		}
	}
}
