package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth"
)

// guardedYard is a controller with a project's ordinary user, and a place that nobody may be led
// to.
type guardedYard struct {
	*yard
	k       *watchedController
	url     string
	ann     string // a token
	secret  *httptest.Server
	reached atomic.Int32
}

const fetchCanary = "canary-of-the-inner-host"

func newGuardedYard(t *testing.T, conf string) *guardedYard {
	t.Helper()
	g := &guardedYard{}
	g.secret = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.reached.Add(1)
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%q}]}`, fetchCanary)
	}))
	t.Cleanup(g.secret.Close)
	g.yard = newYard(t, map[string]string{
		"hostler.conf":              strings.ReplaceAll(conf, "SECRET", g.host()),
		"sources/box/source.conf":   "type = sandbox\nimages = *, */*, */*/*, */*/*/*\n[sandbox]\nimage = " + g.host() + "/own:1\n",
		"projects/web/project.conf": "[members]\nann = user\n",
	})
	g.k = g.Serve("--listen", "127.0.0.1:0", "--no-fill")
	g.url = "http://" + g.k.Said(`tcp:(127[0-9.:]+)`)
	g.ann = strings.TrimSpace(g.run("-q", "token", "create", "--owner", "ann"))
	return g
}

func (g *guardedYard) host() string { return strings.TrimPrefix(g.secret.URL, "http://") }

// acquire asks for a computer from an image, as ann or as an administrator.
func (g *guardedYard) acquire(token, image string) (int, string) {
	g.t.Helper()
	body, err := json.Marshal(map[string]any{"source": "box", "image": image})
	if err != nil {
		g.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, g.url+"/v1/leases", strings.NewReader(string(body)))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// refusals are the entries of the audit log about what was not fetched.
func (g *guardedYard) refusals() (all []auth.AuditEntry) {
	g.t.Helper()
	for line := range strings.Lines(g.run("events", "--audit", "--newest", "1000", "--json")) {
		var a auth.AuditEntry
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			g.t.Fatal(err)
		}
		if a.Act == "fetch" {
			all = append(all, a)
		}
	}
	return all
}

// TestRequestsFetchNothingWithin: a request of an ordinary user has the controller fetch nothing
// from this machine, its neighbours or a metadata service. Each try is told once, with who asked;
// many of the same are one.
func TestRequestsFetchNothingWithin(t *testing.T) {
	sandboxes(t)
	g := newGuardedYard(t, "")
	port := g.host()[strings.LastIndexByte(g.host(), ':'):]
	for _, image := range []string{g.host() + "/a:1", "localhost" + port + "/a:1", "127.0.0.2" + port + "/a",
		"[::1]" + port + "/a", "[::ffff:127.0.0.1]" + port + "/a", "0.0.0.0" + port + "/a",
		"docker://" + g.host() + "/a:2",
		"169.254.169.254/latest/meta-data", "169.254.169.254:80/latest", "[fd00:ec2::254]:80/latest",
		"10.255.255.1:5000/a", "192.168.255.1/a", "oci:/etc", "oci:/nowhere", "dir:/etc", "/etc"} {
		status, text := g.acquire(g.ann, image)
		if status < 400 || status == http.StatusInternalServerError || strings.Contains(text, fetchCanary) {
			t.Errorf(
				"%s: status = %d text = %s"+
					"; want status >= 400 and status != http.StatusInternalServerError and text without fetchCanary",
				image, status, text,
			)
		}
	}
	for range 10 {
		g.acquire(g.ann, g.host()+"/again:1")
	}
	if n := g.reached.Load(); n != 0 {
		t.Errorf("%d of them reached", n)
	}
	waitFor(t, "refusals are in the audit log", func() bool { return len(g.refusals()) >= 8 })
	about := 0
	for _, a := range g.refusals() {
		if a.Who != "ann" || a.Outcome != "denied" || a.Detail == "" || a.From != "127.0.0.1" {
			t.Errorf(`a = %+v; want a.Who == "ann" and a.Outcome == "denied" and a.Detail != "" and a.From == "127.0.0.1"`, a)
		}
		if a.Thing == g.host() {
			about++
		}
	}
	if about != 1 {
		t.Errorf("%d entries about the same", about)
	}
	log, err := os.ReadFile(g.k.log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "not fetched for others"); n < 8 || n > 20 {
		t.Errorf("%d lines in the log: %s", n, log)
	}
}

// TestOwnersFetch: what the operator's configuration names or allows, and what an administrator
// asks for, is fetched. What a user is told of that has nothing of the answer.
func TestOwnersFetch(t *testing.T) {
	sandboxes(t)
	g := newGuardedYard(t, "")
	admin, err := os.ReadFile(filepath.Join(g.Dir, ".local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	g.acquire(strings.TrimSpace(string(admin)), g.host()+"/a:1")
	if g.reached.Load() == 0 {
		t.Error("an administrator's image was not asked for")
	}
	before := g.reached.Load()
	if status, text := g.acquire(g.ann, ""); g.reached.Load() == before {
		t.Errorf("the source's own image was not asked for: %d %s", status, text)
	}
	allow := newGuardedYard(t, "[fetch]\nallow = 10.9.0.0/16, SECRET\n")
	status, text := allow.acquire(allow.ann, allow.host()+"/a:1")
	if allow.reached.Load() == 0 || status < 400 || strings.Contains(text, fetchCanary) ||
		!strings.Contains(text, "answers 403 Forbidden") {
		t.Errorf(
			"status = %d text = %s"+
				"; want allow.reached.Load() != 0 and status >= 400 and text without fetchCanary and text "+
				`with "answers 403 Forbidden"`,
			status, text,
		)
	}
	if len(allow.refusals()) != 0 {
		t.Error(allow.refusals())
	}
	allow.k.Said(fetchCanary) // the log has it
}

// TestFetchKeys: what stands in [fetch] and is nothing that can be allowed is told with file, line
// and what was meant; a reload that says so changes nothing.
func TestFetchKeys(t *testing.T) {
	o := newYard(
		t,
		map[string]string{"hostler.conf": "[fetch]\n\nallow = 10.0.0.0/8, lopback\n", "sources/web/source.conf": "type = fake\n"},
	)
	if out := o.Fail("serve"); !strings.Contains(out, "hostler.conf:3: allow") || !strings.Contains(out, "loopback") {
		t.Error(out)
	}
	conf := filepath.Join(o.Dir, ".config/hostler/hostler.conf")
	for text, want := range map[string]string{
		"[fetch]\nalow = private\n": "allow", "[fetch]\ndeny = 10.1.2.3/8\n": "hostler.conf:2: deny",
	} {
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := o.Fail("serve"); !strings.Contains(out, want) {
			t.Error(out)
		}
	}
	if err := os.WriteFile(conf, []byte("[fetch]\nallow = private\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Serve("--no-fill")
	if err := os.WriteFile(conf, []byte("[fetch]\nallow = privat\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := o.Fail("reload"); !strings.Contains(out, "did you mean private?") {
		t.Error(out)
	}
}

// TestSignInIsLedNowhere: the issuer is where the operator says, and its documents lead the
// controller to nothing within, by an address or by a redirect. What is answered is not told to
// strangers.
func TestSignInIsLedNowhere(t *testing.T) {
	var reached, keys atomic.Int32
	secret := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, fetchCanary)
	}))
	defer secret.Close()
	var lead atomic.Pointer[string] // where the keys are
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": issuer.URL, "jwks_uri": *lead.Load(), "authorization_endpoint": issuer.URL + "/auth",
				"token_endpoint": issuer.URL + "/token", "id_token_signing_alg_values_supported": []string{"RS256"},
			})
		case "/away":
			http.Redirect(w, r, secret.URL, http.StatusFound)
		default:
			keys.Add(1)
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, fetchCanary)
		}
	}))
	defer issuer.Close()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	now := time.Now().Unix()
	token := part(map[string]string{"alg": "RS256", "kid": "k"}) + "." + part(map[string]any{
		"iss": issuer.URL, "aud": "cli", "sub": "x", "iat": now, "exp": now + 600,
	}) + "." + part("signature")
	for _, at := range []string{
		secret.URL, "http://169.254.169.254/latest",
		"http://[::ffff:127.0.0.1]:" + secret.URL[strings.LastIndexByte(secret.URL, ':')+1:], issuer.URL + "/away",
		issuer.URL + "/keys",
	} {
		lead.Store(&at)
		o := newYard(
			t,
			map[string]string{
				"hostler.conf":            "[auth]\nissuer = " + issuer.URL + "\nclient-id = cli\nallowed-domains = *\n",
				"sources/web/source.conf": "type = fake\n",
			},
		)
		k := o.Serve("--listen", "127.0.0.1:0", "--no-fill")
		answer, err := http.Post(
			"http://"+k.Said(`tcp:(127[0-9.:]+)`)+"/v1/login", "application/json",
			strings.NewReader(`{"id_token":"`+token+`"}`),
		)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode < 400 || strings.Contains(string(text), fetchCanary) {
			t.Errorf(
				"%s: answer.StatusCode = %d text = %s err = %v"+
					"; want no error and answer.StatusCode >= 400 and string(text) without fetchCanary",
				at, answer.StatusCode, text, err,
			)
		}
		k.Stop()
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d of them reached", n)
	}
	if keys.Load() == 0 {
		t.Error("the issuer's own keys were not asked for")
	}
}
