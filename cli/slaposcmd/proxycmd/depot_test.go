package proxycmd

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// A master is a binary cache where its file has both directories, and says so where it has not.
func TestSlaposDepot(t *testing.T) {
	dir := t.TempDir()
	with := strings.Replace(
		proxyFile, "port = 0\n",
		"port = 0\nshacache-content-directory = "+filepath.Join(dir, "content")+"\nshacache_metadata_directory = "+filepath.Join(dir,
			"dir")+"\n",
		1,
	)
	for text, want := range map[string]int{with: http.StatusCreated, proxyFile: http.StatusServiceUnavailable} {
		url, end := proxied(t, proxyConfiguration(t, text), &startOptions{})
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
			t.Errorf("code = %d digest = %s; want code == want", code, digest)
		}
		if code, _ := ask(http.MethodPost, "shacache/cache", "content", "https://evil.example"); code != http.StatusForbidden {
			t.Errorf("a page of another site: %d", code)
		}
		if code == http.StatusCreated {
			if code, got := ask(http.MethodGet, "shacache/cache/"+digest, "", ""); code != http.StatusOK || got != "content" {
				t.Errorf(`code = %d got = %s; want code == http.StatusOK and got == "content"`, code, got)
			}
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	}
}

// A master's cache has from another master's what it has not, and keeps it: also when that one is
// gone.
func TestSlaposDepotChain(t *testing.T) {
	cached := func(more string) (url string, end func() error) {
		dir := t.TempDir()
		return proxied(t, proxyConfiguration(t, strings.Replace(proxyFile, "port = 0\n",
			"port = 0\nshacache_content_directory = "+filepath.Join(dir, "content")+
				"\nshacache_metadata_directory = "+filepath.Join(dir, "dir")+"\n"+more, 1)), &startOptions{})
	}
	far, endFar := cached("")
	near, endNear := cached(
		"shacache-upstream-cache-url = " + far + "shacache/cache\nshacache-upstream-dir-url = " + far + "shacache/dir\nshacache-size = 1G\n",
	)
	defer func() {
		if err := endNear(); err != nil {
			t.Error(err)
		}
	}()
	ask := func(method, url, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		said, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(said)
	}
	_, kept := ask(http.MethodPost, far+"shacache/cache", "kept")
	_, other := ask(http.MethodPost, far+"shacache/cache", "other")
	entry, _ := json.Marshal([2]string{`{"sha512": "` + kept + `"}`, ""})
	if code, text := ask(http.MethodPut, far+"shacache/dir/key", string(entry)); code != http.StatusCreated {
		t.Fatalf("code = %v, text = %v; want code == http.StatusCreated", code, text)
	}
	here := map[string]string{"shacache/cache/" + kept: "kept", "shacache/dir/key": "[" + string(entry) + "]"}
	look := func() {
		t.Helper()
		for path, want := range here {
			if code, text := ask(http.MethodGet, near+path, ""); code != http.StatusOK || text != want {
				t.Errorf("%s: code = %d text = %s; want code == http.StatusOK and text == want", path, code, text)
			}
		}
	}
	look()
	for path, want := range map[string]int{
		"shacache/cache/" + strings.Repeat("0", 128): http.StatusNotFound, "shacache/dir/none": http.StatusNotFound,
	} {
		if code, text := ask(http.MethodGet, near+path, ""); code != want {
			t.Errorf("%s: code = %d text = %s; want code == want", path, code, text)
		}
	}
	if err := endFar(); err != nil {
		t.Error(err)
	}
	look()
	for _, path := range []string{"shacache/cache/" + other, "shacache/dir/none"} {
		if code, text := ask(http.MethodGet, near+path, ""); code != http.StatusBadGateway {
			t.Errorf("%s: code = %d text = %s; want code == http.StatusBadGateway", path, code, text)
		}
	}
}
