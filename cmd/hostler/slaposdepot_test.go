package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// A master is a binary cache where its file has both directories, and says so where it has not.
func TestSlaposDepot(t *testing.T) {
	dir := t.TempDir()
	with := strings.Replace(proxyFile, "port = 0\n", "port = 0\nshacache-content-directory = "+filepath.Join(dir, "content")+"\nshacache_metadata_directory = "+filepath.Join(dir, "dir")+"\n", 1)
	for text, want := range map[string]int{with: http.StatusCreated, proxyFile: http.StatusServiceUnavailable} {
		url, end := proxied(t, proxyConfiguration(t, text), &slaposProxy{})
		ask := func(method, path, body, origin string) (int, string) {
			r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			said, _ := io.ReadAll(answer.Body)
			return answer.StatusCode, string(said)
		}
		code, digest := ask(http.MethodPost, "shacache/cache", "content", "")
		if code != want {
			t.Errorf("%d %s", code, digest)
		}
		if code, _ := ask(http.MethodPost, "shacache/cache", "content", "https://evil.example"); code != http.StatusForbidden {
			t.Errorf("a page of another site: %d", code)
		}
		if code == http.StatusCreated {
			if code, got := ask(http.MethodGet, "shacache/cache/"+digest, "", ""); code != http.StatusOK || got != "content" {
				t.Errorf("%d %s", code, got)
			}
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	}
}
