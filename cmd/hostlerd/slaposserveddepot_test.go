package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A controller is a binary cache too, for those whom it knows, of whom nodes and administrators put
// something there; and what its file has of slapproxy's that it does not take, it says.
func TestSlaposServedDepot(t *testing.T) {
	o := newYard(
		t,
		map[string]string{
			"sources/web/source.conf": "type = fake\n",
			"hostler.conf":            "[slap]\nshacache-content-directory = cache/content\nshacache-metadata-directory = cache/dir\nshacache-size = 1G\nlocal-software-release-root = /\n",
		},
	)
	k := o.Serve("--no-fill", "--listen", "127.0.0.1:0")
	at := "http://" + k.Said(`serving listen=.*tcp:([0-9.:]+)`)
	secret, err := os.ReadFile(filepath.Join(o.Dir, ".local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body, token string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, at+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.SetBasicAuth("x", token) // as a URL in [networkcache] has it
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		said, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(said)
	}
	admin := strings.TrimSpace(string(secret))
	code, digest := ask(http.MethodPost, "/slapos/shacache/cache", "content", admin)
	if code != http.StatusCreated {
		t.Fatalf("code = %v, digest = %v; want code == http.StatusCreated", code, digest)
	}
	if code, got := ask(http.MethodGet, "/slapos/shacache/cache/"+digest, "", admin); code != http.StatusOK || got != "content" {
		t.Errorf(`code = %d got = %s; want code == http.StatusOK and got == "content"`, code, got)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		if code, got := ask(method, "/slapos/shacache/cache/"+digest, "content", ""); code != http.StatusForbidden {
			t.Errorf("%s by nobody: %d %s", method, code, got)
		}
	}
	k.Stop()
	for line, want := range map[string]string{
		"tls_cert = x": "--tls-cert", "port = 5000": "--listen", "database-uri = x": "[store] url",
		"shacache-content-directory = x":        "go together",
		"shacache-upstream-cache-url = ftp://x": "shacache-upstream-cache-url",
	} {
		o := newYard(t, map[string]string{"hostler.conf": "[slap]\n" + line + "\n"})
		if out := o.Fail("serve", "--no-fill"); !strings.Contains(out, want) || !strings.Contains(out, "hostler.conf:2") {
			t.Errorf(`%s: out = %s; want out with want and out with "hostler.conf:2"`, line, out)
		}
	}
}
