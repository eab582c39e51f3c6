package transport

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// TestPatience has the library try again what ended without an answer for a moment, and no longer;
// an answer begins all anew, and a request that was given up says nothing.
func TestPatience(t *testing.T) {
	t.Parallel()
	var mute atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mute.Load() {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}
	}))
	defer server.Close()
	p := &Patience{To: &http.Transport{DisableKeepAlives: true}}
	ask := func(ctx context.Context) error {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := p.RoundTrip(r)
		if err != nil {
			return &url.Error{Op: "Get", URL: server.URL, Err: err} // as http.Client says it
		}
		return answer.Body.Close()
	}
	past := func(since, last time.Duration) { p.since, p.last = time.Now().Add(-since), time.Now().Add(-last) }
	again := func(when string, want bool) {
		t.Helper()
		err := ask(t.Context())
		if err == nil || errors.Is(err, errNoAnswer) == want || (utilnet.IsProbableEOF(err) || utilnet.IsConnectionReset(err)) != want {
			t.Errorf("%s: tried again: %v, want %v: %v", when, !want, want, err)
		}
	}
	mute.Store(true)
	again("the first time", true)
	again("a moment later", true)
	past(patient+time.Second, time.Second)
	again("after some seconds", false)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ask(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	past(time.Hour, another+time.Second)
	again("long after", true)
	past(patient+time.Second, time.Second)
	mute.Store(false)
	if err := ask(t.Context()); err != nil {
		t.Error(err)
	}
	mute.Store(true)
	again("after an answer", true)
}
