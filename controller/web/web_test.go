package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/controller/web"
)

// firstPage is how many bytes, compressed, may come before a browser shows the first view.
const firstPage = 20 << 10

// get asks the page's handler, behind which another one says "next".
func get(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	h := web.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "next") }))
	r := httptest.NewRequest(method, path, nil)
	for n := 0; n+1 < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestHandler: the page is where it should be, the rest is the API's, and each answer forbids what
// the page does not need.
func TestHandler(t *testing.T) {
	index := body(t, get(t, http.MethodGet, "/"))
	script := regexp.MustCompile(`/assets/main-\w+\.js`).FindString(index)
	if script == "" {
		t.Fatal(index)
	}
	for _, path := range []string{
		"/", "/index.html", "/instances", "/instances/web-1", "/instances/web-1/terminal", "/leases", "/director",
		"/history", "/events", "/slap", "/slap/computers/COMP-1",
	} {
		r := get(t, http.MethodGet, path)
		if body(t, r) != index || r.Header.Get("Cache-Control") != "no-cache" ||
			r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf(
				"%s: r.Header = %v"+
					`; want body(t, r) == index and r.Header.Get("Cache-Control") == "no-cache" and `+
					`r.Header.Get("Content-Type") == "text/html; charset=utf-8"`,
				path, r.Header,
			)
		}
	}
	for _, path := range []string{
		"/v1/sources", "/openapi.json", "/login", "/login/callback", "/assets/none.js", "/assets/", "/dist/index.html",
		"/instancesx", "/slapos/getRunId", "/healthz", "/../web.go",
	} {
		if got := body(t, get(t, http.MethodGet, path)); got != "next" {
			t.Errorf("%s is the page's: %.60q", path, got)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodOptions} {
		if got := body(t, get(t, method, "/")); got != "next" {
			t.Errorf("%s / is the page's", method)
		}
	}
	r := get(t, http.MethodGet, script, "Accept-Encoding", "br, gzip;q=0.8")
	packed := body(t, r)
	z, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil || r.Header.Get("Content-Encoding") != "gzip" ||
		!strings.Contains(r.Header.Get("Cache-Control"), "immutable") || r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Fatalf("err = %v, r.Header = %v", err, r.Header)
	}
	plain, err := io.ReadAll(z)
	if err != nil || string(plain) != body(t, get(t, http.MethodGet, script)) {
		t.Errorf("%s is another one when it is packed: %v", script, err)
	}
	if again := get(
		t, http.MethodGet, script, "Accept-Encoding", "gzip", "If-None-Match", r.Header.Get("ETag"),
	); again.StatusCode != http.StatusNotModified || body(t, again) != "" {
		t.Errorf("what one has is sent again: %s", again.Status)
	}
	if other := get(
		t, http.MethodGet, script, "Accept-Encoding", "gzip;q=0", "If-None-Match", r.Header.Get("ETag"),
	); other.StatusCode != http.StatusOK || other.Header.Get("Content-Encoding") != "" {
		t.Errorf("gzip is sent to one who does not take it: %v", other.Header)
	}
	if head := get(t, http.MethodHead, "/"); body(t, head) != "" || head.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("HEAD: %v", head.Header)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "script-src 'self';", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	} {
		if got := get(t, http.MethodGet, "/leases").Header.Get(name); !strings.Contains(got, want) {
			t.Errorf("%s: got = %q; want got with want", name, got)
		}
	}
	if strings.Contains(web.Policy, "unsafe") || !strings.Contains(web.Policy, "default-src 'none'") ||
		!strings.Contains(web.Policy, "frame-ancestors 'none'") {
		t.Errorf("the policy: %s", web.Policy)
	}
	if text := body(t, get(t, http.MethodGet, "/LICENSES.txt")); !strings.Contains(text, "---- preact ----") ||
		!strings.Contains(text, "---- @xterm/xterm ----") || strings.Count(text, "Copyright") < 5 {
		t.Errorf("the licences: %.200s", text)
	}
}

// TestFirstPage: what comes before the first view is small, and the terminal is none of it.
func TestFirstPage(t *testing.T) {
	seen, sum := map[string]int{}, 0
	var load func(path string)
	load = func(path string) {
		if _, ok := seen[path]; ok {
			return
		}
		n := len(body(t, get(t, http.MethodGet, path, "Accept-Encoding", "gzip")))
		seen[path] = n
		sum += n
		text := body(t, get(t, http.MethodGet, path))
		for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(text, -1) {
			load(m[1])
		}
		// import("./x.js") is for later
		for _, m := range regexp.MustCompile(`(?:from|import)"\./([^"]+)"`).FindAllStringSubmatch(text, -1) {
			load("/assets/" + m[1])
		}
	}
	load("/")
	t.Logf("%d bytes in %d files: %v", sum, len(seen), seen)
	if sum > firstPage || len(seen) < 4 {
		t.Errorf("the first page has %d bytes in %d files, and %d may come: %v", sum, len(seen), firstPage, seen)
	}
}

// webpage runs the program that makes the page, built without C as all that the tests build, so
// that nothing is compiled twice.
func webpage(args ...string) *exec.Cmd {
	cmd := exec.Command("go", append([]string{"run", "-C", "../../tools", "./webpage"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}

// packages are the page's packages of npm.
func packages(t *testing.T) string {
	t.Helper()
	cmd := webpage("-modules")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatalf("npm: %v: %s", err, &said)
		}
		t.Skipf("npm: %v: %s", err, &said)
	}
	return strings.TrimSpace(string(out))
}

// TestBundle: controller/web/dist is what controller/web/ui comes to.
func TestBundle(t *testing.T) {
	packages(t)
	fresh := filepath.Join(t.TempDir(), "dist")
	if out, err := webpage("-ui", "../controller/web/ui", "-out", fresh).CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	read := func(dir string) map[string]string {
		files := map[string]string{}
		err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(filepath.Join(dir, name))
			files[name] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	have, want := read("dist"), read(fresh)
	for name := range want {
		if have[name] != want[name] {
			t.Errorf("web/dist/%s is not what web/ui comes to: `make page` makes it", name)
		}
		delete(have, name)
	}
	for name := range have {
		t.Errorf("web/dist/%s is of no use any more: `make page` takes it away", name)
	}
}
