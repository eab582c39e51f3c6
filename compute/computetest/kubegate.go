package computetest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Gate is a proxy to a cluster's API server that counts what goes through it. Every client that
// comes to it has all rights.
type Gate struct {
	URL    string
	Config string // a kubeconfig for URL

	mu       sync.Mutex
	asked    map[string]int // by verb and resource: "create pods", "exec pods"
	watching map[string]int // open ones, by namespace and resource
	refused  map[string]int // how many more of each are to be refused
}

// Gate starts a Gate, which ends with the test.
func (k *Kubernetes) Gate(t testing.TB) *Gate {
	t.Helper()
	k.Config(t)
	server := k.Ctl(t, "", "config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.server}")
	token := k.Ctl(t, "", "config", "view", "--raw", "-o", "jsonpath={.users[0].user.token}")
	authority, err := os.ReadFile(filepath.Join(k.dir, "certs", "apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	if block, _ := pem.Decode(authority); block == nil {
		t.Fatal("the API server has no certificate")
	}
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{
		Config: filepath.Join(t.TempDir(), "kubeconfig"), asked: map[string]int{}, watching: map[string]int{},
		refused: map[string]int{},
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			// a client sends no token without TLS
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
		// Without HTTP/2: its connections cannot be used for exec.
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 100},
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verb, namespace, resource := kubernetesVerb(r)
		if g.count(verb + " " + resource) {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if verb == "watch" {
			g.watch(namespace+" "+resource, 1)
			defer g.watch(namespace+" "+resource, -1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		door.CloseClientConnections()
		door.Close()
	})
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: gate, cluster: {server: %q}}]
contexts: [{name: gate, context: {cluster: gate}}]
current-context: gate
`, door.URL)
	g.URL = door.URL
	if err := os.WriteFile(g.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// kubernetesVerb returns the verb, the namespace and the resource of a request to an API server.
func kubernetesVerb(r *http.Request) (verb, namespace, resource string) {
	at := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(at) > 0 && at[0] == "api" {
		at = at[min(2, len(at)):]
	} else {
		at = at[min(3, len(at)):]
	}
	if len(at) > 2 && at[0] == "namespaces" {
		namespace, at = at[1], at[2:]
	}
	if len(at) == 0 {
		return "get", namespace, r.URL.Path
	}
	resource = at[0]
	switch {
	case len(at) > 2:
		return at[2], namespace, resource // exec, status, …
	case r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1":
		return "watch", namespace, resource
	case r.Method == http.MethodGet && len(at) == 1:
		return "list", namespace, resource
	}
	return map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch",
		http.MethodDelete: "delete",
	}[r.Method], namespace, resource
}

// count counts a request, and reports whether it is to be refused.
func (g *Gate) count(what string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked[what]++
	if g.refused[what] == 0 {
		return false
	}
	g.refused[what]--
	return true
}

// Refuse answers the next n requests for a thing with 502, as a proxy does that has lost its
// server.
func (g *Gate) Refuse(what string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused[what] = n
}

func (g *Gate) watch(what string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watching[what] += n; g.watching[what] == 0 {
		delete(g.watching, what)
	}
}

// Asked returns how often each thing was asked for since the last call.
func (g *Gate) Asked() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.asked
	g.asked = map[string]int{}
	return out
}

// Watching returns how many watches are open now, by namespace and resource.
func (g *Gate) Watching() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.watching)
}

// Writes returns how many of the counted requests change something at the API server.
func Writes(asked map[string]int) (n int) {
	for what, times := range asked {
		switch verb, _, _ := strings.Cut(what, " "); verb {
		case "create", "update", "patch", "delete", "status":
			n += times
		}
	}
	return n
}
