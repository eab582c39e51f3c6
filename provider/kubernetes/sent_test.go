package kubernetes

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// TestSentOn: an API server that sends requests on has the token shown to nobody else.
func TestSentOn(t *testing.T) {
	var heard atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard.Add(1) }))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
  users: [{name: u, user: {token: sesame}}], clusters: [{name: c, cluster: {server: %q}}]}`, s.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := open(t.Context(), nil, Options{Kubeconfig: file, Namespace: "ns", Image: "i", Installation: "inst", Source: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Destroy(t.Context(), "web-1"); err == nil {
		t.Error("destroyed, by an answer that sent it on")
	}
	if n := heard.Load(); n > 0 {
		t.Errorf("another host was asked %d times", n)
	}
}
