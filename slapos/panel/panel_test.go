package panel_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/slapos/panel"
)

func ask(t *testing.T, h http.Handler, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

func anybody(*http.Request) error { return nil }

func nowhere(*http.Request, net.IP) (who fetch.Requester, ok bool, err error) { return }

// guard lets this machine be reached, where the instances of the tests are.
var guard = fetch.New(fetch.Options{Allow: fetch.RulesFor("http://127.0.0.1:1024")})

func TestPanel(t *testing.T) {
	h := panel.Handler(
		panel.Options{Reachable: nowhere, Guard: guard, May: anybody},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "master "+r.Method) }),
	)
	for path, want := range map[string]string{
		"/panel/": "<h1>SlapOS master</h1>", "/panel/panel.js": "compute_node_list", "/panel/panel.css": "border",
		"/getRunId": "master GET", "/slapos.get.v0.hateoas_url": "master GET",
	} {
		answer, body := ask(t, h, "GET", path)
		if answer.StatusCode != 200 || !strings.Contains(body, want) ||
			strings.HasPrefix(path, "/panel") && !strings.Contains(answer.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: answer.StatusCode = %d answer.Header = %v body = %s", path, answer.StatusCode, answer.Header, body)
		}
	}
	for path, want := range map[string]string{"/": "/panel/", "/panel": "/panel/"} {
		if answer, _ := ask(t, h, "GET", path); answer.StatusCode != 302 || answer.Header.Get("Location") != want {
			t.Errorf(
				"%s: answer.StatusCode = %d answer.Header = %v"+
					`; want answer.StatusCode == 302 and answer.Header.Get("Location") == want`,
				path, answer.StatusCode, answer.Header,
			)
		}
	}
	if _, body := ask(t, h, "POST", "/supplySupply"); body != "master POST" {
		t.Error(body)
	}
	if answer, _ := ask(t, h, "GET", "/panel/nothing"); answer.StatusCode != 404 {
		t.Error(answer.Status)
	}
}

func TestPublic(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "public", "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"secret": "secret", "public/ä b.html": "<script>", "public/sub/a": "sub"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(dir, "public", "out")); err != nil {
		t.Fatal(err)
	}
	h := panel.Handler(
		panel.Options{Public: filepath.Join(dir, "public"), Reachable: nowhere, Guard: guard, May: anybody},
		http.NotFoundHandler(),
	)
	for path, want := range map[string]int{
		"%C3%A4%20b.html": 200, "sub/a": 200, "sub": 404, "": 404, "nothing": 404, "out": 404, "%2e%2e/secret": 404,
		"..%2fsecret": 404, "%2fetc%2fpasswd": 404,
	} {
		answer, body := ask(t, h, "GET", "/panel/public/"+path)
		if answer.StatusCode != want && answer.StatusCode/100 != 3 || strings.Contains(body, "secret") || strings.Contains(body, "root:") {
			t.Errorf(
				"%s: answer.Status = %s body = %s"+
					"; want (answer.StatusCode == want or answer.StatusCode/100 == 3) and body without "+
					`"secret" and body without "root:"`,
				path, answer.Status, body,
			)
		}
		if want == 200 && !strings.HasPrefix(answer.Header.Get("Content-Disposition"), "attachment; filename") {
			t.Errorf(
				"%s: answer.Header = %v"+
					`; want want != 200 or strings.HasPrefix(answer.Header.Get("Content-Disposition"), `+
					`"attachment; filename")`,
				path, answer.Header,
			)
		}
	}
	if answer, _ := ask(
		t, panel.Handler(panel.Options{Reachable: nowhere, Guard: guard, May: anybody}, http.NotFoundHandler()), "GET",
		"/panel/public/a",
	); answer.StatusCode != 403 {
		t.Error(answer.Status)
	}
	denied := func(*http.Request) error { return errors.New("who are you?") }
	h = panel.Handler(panel.Options{Public: dir, Reachable: nowhere, Guard: guard, May: denied}, http.NotFoundHandler())
	for _, path := range []string{"/panel/public/secret", "/http_proxy/http/127.0.0.1/"} {
		if answer, body := ask(t, h, "GET", path); answer.StatusCode != 403 || !strings.Contains(body, "who are you?") {
			t.Errorf(
				"%s: answer.Status = %s body = %s"+
					`; want answer.StatusCode == 403 and body with "who are you?"`,
				path, answer.Status, body,
			)
		}
	}
}

// What an instance answers comes from its own address alone, without what is the master's.
func TestInstance(t *testing.T) {
	instance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie")+r.Header.Get("Authorization") != "" {
			t.Errorf("it is told secrets: %v", r.Header)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/there?x=y", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, r.Method+" "+r.Host+" "+r.URL.RequestURI())
	}))
	defer instance.Close()
	host := strings.TrimPrefix(instance.URL, "http://")
	known := func(_ *http.Request, ip net.IP) (fetch.Requester, bool, error) {
		return fetch.Requester{}, ip.Equal(net.IPv4(127, 0, 0, 1)), nil
	}
	h := panel.Handler(
		panel.Options{
			Reachable: known, May: anybody,
			Guard: fetch.New(fetch.Options{Allow: fetch.RulesFor(instance.URL, "http://127.0.0.1:1024")}),
		},
		http.NotFoundHandler(),
	)
	answer, body := ask(t, h, "GET", "/http_proxy/http/"+host+"/a%2Fb/c?d=e%26", "Cookie", "x=y", "Authorization", "Basic x")
	if answer.StatusCode != 200 || body != "GET "+host+" /a%2Fb/c?d=e%26" || answer.Header.Get("Set-Cookie") != "" ||
		!strings.HasPrefix(answer.Header.Get("Content-Security-Policy"), "sandbox ") || strings.Contains(
		answer.Header.Get("Content-Security-Policy"), "same-origin",
	) {
		t.Errorf("answer.Status = %s answer.Header = %v body = %s", answer.Status, answer.Header, body)
	}
	if answer, _ := ask(
		t, h, "GET", "/http_proxy/http/"+host+"/away",
	); answer.Header.Get("Location") != "/http_proxy/http/"+host+"/there?x=y" {
		t.Errorf(`answer.Header = %v; want answer.Header.Get("Location") == "/http_proxy/http/"+host+"/there?x=y"`, answer.Header)
	}
	if answer, body := ask(t, h, "OPTIONS", "/http_proxy/http/"+host+"/"); answer.StatusCode != 200 || body != "OPTIONS "+host+" /" {
		t.Errorf(
			"answer.Status = %s body = %s"+
				`; want answer.StatusCode == 200 and body == "OPTIONS "+host+" /"`,
			answer.Status, body,
		)
	}
	for path, want := range map[string]int{
		"http/127.0.0.2/": 403, "http/127.0.0.1:2000/": 403, "http/127.0.0.1:1024/": 502,
		"http/169.254.169.254/latest": 403, "http/localhost/": 400, "ftp/127.0.0.1/": 400, "http/127.0.0.1:1/": 403,
		"http/127.0.0.1:22/": 403, "http/127.0.0.1:99999/": 403, "http/me@127.0.0.1/": 400, "http/%5B::1%5D/": 403,
	} {
		if answer, body := ask(t, h, "GET", "/http_proxy/"+path); answer.StatusCode != want {
			t.Errorf("%s: answer.Status = %s body = %s; want answer.StatusCode == want", path, answer.Status, body)
		}
	}
	if answer, _ := ask(t, h, "POST", "/http_proxy/http/"+host+"/"); answer.StatusCode == 200 {
		t.Error(answer.Status)
	}
}
