package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth/signin/signintest"
	"github.com/hostler-project/hostler/cli/servercmd"
	"github.com/hostler-project/hostler/client/logins"
)

// land is a home with a controller in it, and a provider that its people sign in with.
type land struct {
	t    *testing.T
	dir  string
	env  []string
	url  string
	at   *signintest.Provider
	path string
}

// newLand starts both. Configuration is what is added to [auth] in hostler.conf.
func newLand(t *testing.T, auth string) *land {
	t.Helper()
	l := &land{t: t, dir: t.TempDir(), path: plainPath(t)}
	l.at = signintest.Start(t, signintest.Settings{
		Clients: map[string]signintest.Client{
			"cli":  {},
			"page": {Secret: "of the page", Redirect: []string{"http://127.0.0.1/login/callback", "http://hostler.test/login/callback"}},
		},
		People: map[string]signintest.Person{
			"ann": {Email: "ann@example.org", Verified: true, Groups: []string{"dev"}},
			"bob": {Email: "bob@example.org", Groups: []string{"dev"}},
			"eve": {Email: "eve@example.com", Verified: true},
		},
	})
	run, err := os.MkdirTemp("", "hostler") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	l.env = append(
		append(os.Environ(), environment(t, l.dir)...), "XDG_RUNTIME_DIR="+run, "PATH="+l.path, "HOSTLER_CONTROLLER=",
		"HOSTLER_TOKEN=", "PAGE_SECRET=of the page",
	)
	l.file("home/.config/hostler/sources/box/source.conf", "type = fake\n[fake]\nreply = mine\n")
	l.configure(auth)
	l.url = startController(t, l.env, l.dir, run, t.Cleanup, "--listen", "127.0.0.1:0", "--no-fill")
	t.Cleanup(func() { stopKeeper(t, l.env) })
	return l
}

func (l *land) configure(auth string) {
	l.file(
		"home/.config/hostler/hostler.conf",
		"[auth]\nissuer = "+l.at.URL+"\nclient-id = page\nlogin-client-id = cli\nclient-secret = env:PAGE_SECRET\naddress = http://hostler.test\n"+auth,
	)
}

func (l *land) file(name, text string) {
	l.t.Helper()
	file := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// far is another machine's user: the same program, in a home without a controller.
func (l *land) far(name string) []string {
	l.t.Helper()
	return append(
		append(os.Environ(), environment(l.t, filepath.Join(l.dir, "far-"+name))...), "PATH="+l.path,
		"HOSTLER_CONTROLLER=", "HOSTLER_TOKEN=", "HOSTLER_CA=", "HOSTLER_CERT=", "HOSTLER_KEY=",
	)
}

// run runs a command as somebody, and wants an exit status.
func (l *land) run(env []string, want int, in string, args ...string) (out, errs string) {
	l.t.Helper()
	cmd := exec.Command(lookIn(l.path, "hostler"), args...)
	var o, e bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, l.dir, strings.NewReader(in), &o, &e
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		l.t.Errorf("hostler %q: exit status %d, want %d\n%s%s", args, got, want, &o, &e)
	}
	return o.String(), e.String()
}

// login signs in as somebody types the code, or refuses; it wants an exit status.
func (l *land) login(env []string, want int, who string, agree bool, args ...string) (view servercmd.LoginView, errs string) {
	l.t.Helper()
	cmd := exec.Command(lookIn(l.path, "hostler"), append([]string{"login", "--json"}, args...)...)
	cmd.Env, cmd.Dir = env, l.dir
	var e bytes.Buffer
	cmd.Stderr = &e
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		var code servercmd.CodeView
		if err := json.Unmarshal(lines.Bytes(), &code); err != nil || code.Code == "" || code.Address != l.at.URL+"/device" {
			l.t.Errorf("%s: %v", lines.Bytes(), err)
		}
		l.at.Type(code.Code, who, agree)
		if lines.Scan() {
			if err := json.Unmarshal(lines.Bytes(), &view); err != nil {
				l.t.Errorf("%s: %v", lines.Bytes(), err)
			}
		}
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != want {
		l.t.Errorf("hostler login %q: exit status %d, want %d\n%s", args, got, want, &e)
	}
	return view, e.String()
}

func contains(t *testing.T, what, text string) {
	t.Helper()
	if !strings.Contains(what, text) {
		t.Errorf("%q is not in\n%s", text, what)
	}
}

// TestLogin: people sign in from a terminal, and are themselves from then on.
func TestLogin(t *testing.T) {
	l := newLand(t, "allowed-domains = example.org\nlogin-life = 1h\n")
	ann := l.far("ann")
	_, errs := l.run(ann, 7, "", "--controller", l.url, "status")
	contains(t, errs, "hostler login "+l.url)
	_, errs = l.run(ann, 7, "", "login", "--status")
	contains(t, errs, "signed in to no controller")

	view, _ := l.login(ann, 0, "ann", true, l.url)
	if view.Name != "ann@example.org" || view.By != "sign-in" || view.Expires == nil ||
		time.Until(*view.Expires) > time.Hour || !view.Current {
		t.Fatalf(
			"view = %+v"+
				`; want view.Name == "ann@example.org" and view.By == "sign-in" and view.Expires != nil `+
				"and time.Until(*view.Expires) <= time.Hour and view.Current",
			view,
		)
	}
	file := filepath.Join(l.dir, "far-ann/home/.local/state/hostler/logins.json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("info = %v, err = %v; want no error and info.Mode().Perm() == 0o600", info, err)
	}
	name, _ := l.run(ann, 0, "", "acquire", "-s", "box")
	out, _ := l.run(ann, 0, "", "status", "-v", "box")
	contains(t, out, "ann@example.org")
	out, _ = l.run(ann, 0, "", "run", strings.TrimSpace(name), "--", "echo", "mine")
	contains(t, out, "mine")
	// the same, written another way
	l.run(ann, 0, "", "--controller", strings.ToUpper(l.url[:4])+l.url[4:]+"/", "status")
	out, _ = l.run(ann, 0, "", "login", "--status")
	contains(t, out, "ann@example.org")
	out, _ = l.run(ann, 0, "", "source", "list") // the controller's, which is not configured here
	contains(t, out, "box")
	out, _ = l.run(ann, 0, "", "source", "show", "box")
	contains(t, out, "the controller's")
	_, errs = l.run(ann, 5, "", "source", "test", "bxo")
	contains(t, errs, "did you mean box?")
	l.run(ann, 5, "", "--embedded", "source", "show", "box")
	_, errs = l.run(ann, 7, "", "reload")
	contains(t, errs, "administrators")
	l.run(ann, 0, "", "--embedded", "status")

	// Another one sees hers, and cannot touch it.
	eve := l.far("eve")
	_, errs = l.login(eve, 7, "eve", true, l.url)
	contains(t, errs, "none of the domains")
	_, errs = l.login(eve, 7, "bob", true, l.url)
	contains(t, errs, "not verified")
	_, errs = l.login(eve, 7, "ann", false, l.url)
	contains(t, errs, "refused at the provider's page")

	// Signing in again ends what was before; signing out ends all.
	old := token(t, file)
	l.login(ann, 0, "ann", true)
	if token(t, file) == old {
		t.Error("signing in again gives the same token")
	}
	withToken := func(secret string) []string { return append(l.far("thief"), "HOSTLER_TOKEN="+secret) }
	var views []servercmd.LoginView
	out, _ = l.run(withToken(token(t, file)), 0, "", "--controller", l.url, "login", "--status", "--json")
	if err := json.Unmarshal([]byte(out), &views); err != nil || len(views) != 1 ||
		views[0].Name != "ann@example.org" || views[0].By != "token" || views[0].Expires == nil {
		t.Errorf("who one is by a token of the environment: %s, %v", out, err)
	}
	l.run(l.far("thief"), 7, "", "--controller", l.url, "login", "--status")
	_, errs = l.run(withToken(old), 7, "", "--controller", l.url, "status")
	if strings.Contains(errs, old) {
		t.Errorf("the token is told: %s", errs)
	}
	last := token(t, file)
	l.run(withToken(last), 0, "", "--controller", l.url, "status")
	l.run(ann, 0, "", "logout")
	l.run(withToken(last), 7, "", "--controller", l.url, "status")
	l.run(ann, 0, "", "status") // by itself again
	_, errs = l.run(ann, 2, "", "logout")
	contains(t, errs, "signed in to none")

	// The leases are hers when she comes back.
	l.login(ann, 0, "ann", true, l.url)
	l.run(ann, 0, "", "release", strings.TrimSpace(name))
}

// token is what is kept of a controller in a file of logins.
func token(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all logins.All
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all.Controllers[all.Current].Token
}

// TestLoginEnds: what was good ends, and it is said what to do.
func TestLoginEnds(t *testing.T) {
	l := newLand(t, "allowed-groups = dev\nname-claim = sub\nlogin-life = 5s\n")
	ann := l.far("ann")
	if view, _ := l.login(ann, 0, "bob", true, l.url); view.Name != "bob" {
		t.Fatalf(`view = %+v; want view.Name == "bob"`, view)
	}
	var errs string
	for limit := time.Now().Add(time.Minute); !strings.Contains(errs, "ended") && time.Now().Before(limit); time.Sleep(time.Second) {
		cmd := exec.Command(lookIn(l.path, "hostler"), "status")
		cmd.Env, cmd.Dir = ann, l.dir
		out, _ := cmd.CombinedOutput()
		errs = string(out)
	}
	contains(t, errs, "that ended at")
	contains(t, errs, "hint: hostler login "+l.url)
	out, _ := l.run(ann, 7, "", "login", "--status", "--json")
	contains(t, out, "you signed in to")

	// A token that somebody brings.
	secret, err := os.ReadFile(filepath.Join(l.dir, "home/.local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	out, _ = l.run(ann, 0, string(secret), "login", "--with-token", l.url)
	contains(t, out, "You are ")
	l.run(ann, 0, "", "status")
	_, errs = l.run(ann, 0, "", "logout", "--all")
	contains(t, errs, "the token is removed here")
	made, _ := l.run(l.env, 0, "", "token", "create", "--name", "ci", "--json")
	var got struct{ Token, ID string }
	if err := json.Unmarshal([]byte(made), &got); err != nil || got.Token == "" {
		t.Fatalf(`%s: err = %v; want no error and got.Token != ""`, made, err)
	}
	l.run(ann, 0, got.Token, "login", "--with-token", l.url)
	l.run(l.env, 0, "", "token", "revoke", got.ID)
	_, errs = l.run(ann, 7, "", "status")
	contains(t, errs, "good no more")
	contains(t, errs, "hostler login "+l.url)

	// The provider is away: nobody comes in, who is in stays.
	l.configure("allowed-groups = dev\nname-claim = sub\n")
	l.run(l.env, 0, "", "reload")
	l.login(ann, 0, "ann", true, l.url)
	l.at.Shut()
	l.run(ann, 0, "", "status")
	_, errs = l.run(l.far("late"), 1, "", "login", l.url)
	contains(t, errs, "the provider "+l.at.URL)
	l.at.Open()
	l.at.Rotate()
	l.login(ann, 0, "ann", true, l.url)

	// No provider any more.
	l.file("home/.config/hostler/hostler.conf", "")
	l.run(l.env, 0, "", "reload")
	_, errs = l.run(ann, 2, "", "login", l.url)
	contains(t, errs, "knows no provider")
	contains(t, errs, "--with-token")
	l.run(ann, 0, "", "status")
	l.file("home/.config/hostler/hostler.conf", "[auth]\nissuer = "+l.at.URL+"\nclient-id = cli\n")
	_, errs = l.run(l.env, 2, "", "reload")
	contains(t, errs, "not said whom")
}

// TestLoginElsewhere: what is no controller, or cannot be one.
func TestLoginElsewhere(t *testing.T) {
	l := newLand(t, "allowed-domains = example.org\n")
	ann := l.far("ann")
	other := strings.TrimPrefix(l.at.URL, "http://") // a provider is no controller
	for _, test := range []struct {
		where, text string
		status      int
	}{
		{"http://" + other, "is no controller", 5},
		{"http://192.0.2.1:7070", "use https", 2},
		{"ftp://hostler.example.org", "ftp:// is spoken to none", 2},
		{"http://127.0.0.1:1", "connection refused", 1},
		{"https://" + other, "no TLS", 1},
		{"unix:/run/x", "by a socket", 2},
		{"https://user@hostler.example.org", "it is https://HOST", 2},
		{"", "no controller is named", 2},
	} {
		args := []string{"login", test.where}
		if test.where == "" {
			args = args[:1]
		}
		_, errs := l.run(ann, test.status, "", args...)
		contains(t, errs, test.text)
	}
	_, errs := l.run(ann, 2, "two words", "login", "--with-token", l.url)
	contains(t, errs, "no token")
	_, errs = l.run(ann, 7, "hst_guessed", "login", "--with-token", l.url)
	if strings.Contains(errs, "guessed") {
		t.Errorf("the token is told: %s", errs)
	}
	_, errs = l.run(ann, 2, "", "--ca", "/does/not/exist", "login", l.url)
	contains(t, errs, "/does/not/exist")
	l.file("far-ann/home/.local/state/hostler/logins.json", `{"current":"`+l.url+`","controllers":{}}`)
	if err := os.Chmod(filepath.Join(l.dir, "far-ann/home/.local/state/hostler/logins.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, errs = l.run(ann, 7, "", "status")
	contains(t, errs, "chmod 600")
}

// TestPageLogin: a browser signs in at the provider's page and keeps a session that only our page
// can use to change things.
func TestPageLogin(t *testing.T) {
	l := newLand(t, "allowed-domains = example.org\nsession-life = 10m\n")
	browser := signintest.Browser(t)
	host, err := url.Parse(l.url)
	if err != nil {
		t.Fatal(err)
	}
	// The name that the provider knows us by leads to where we are.
	plain := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(plain.CloseIdleConnections)
	browser.Transport = travel(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "hostler.test" {
			r = r.Clone(r.Context())
			r.Host, r.URL.Host = "hostler.test", host.Host
			answer, err := plain.RoundTrip(r)
			if answer != nil {
				answer.Request.URL.Host = "hostler.test"
			}
			return answer, err
		}
		return plain.RoundTrip(r)
	})
	answer := l.at.Browse(browser, "http://hostler.test/login?next=/instances/x", "ann", "")
	text := read(t, answer)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf(
			"%s: answer.Status = %s: text = %s"+
				"; want answer.StatusCode == http.StatusOK",
			answer.Request.URL, answer.Status, text,
		)
	}
	contains(t, text, "You are ann@example.org")
	contains(t, text, `content="0;url=/instances/x"`)
	contains(t, answer.Header.Get("Content-Security-Policy"), "default-src 'none'")
	kept := answer.Header.Values("Set-Cookie")
	if len(kept) != 2 || !strings.Contains(kept[1], "HttpOnly") || !strings.Contains(kept[1], "SameSite=Strict") ||
		!strings.Contains(kept[0], "Max-Age=0") {
		t.Errorf("cookies %q", kept)
	}

	ask := func(method, path string, header ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://hostler.test"+path, strings.NewReader(`{"source":"box"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		answer, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, read(t, answer)
	}
	want := func(status int, method, path string, header ...string) string {
		t.Helper()
		got, text := ask(method, path, header...)
		if got != status {
			t.Errorf("%s %s %q: %d, want %d: %s", method, path, header, got, status, text)
		}
		return text
	}
	contains(t, want(200, "GET", "/v1/self"), `"name":"ann@example.org"`)
	want(401, "POST", "/v1/leases")
	want(401, "POST", "/v1/leases", "Hostler-Page", "1", "Sec-Fetch-Site", "same-site")
	want(401, "POST", "/v1/leases", "Hostler-Page", "1", "Sec-Fetch-Site", "cross-site")
	// by HTTP/2 no connection is upgraded, so the API process takes the header away
	want(400, "GET", "/v1/instances/box-1/connect", "Upgrade", "websocket", "Sec-Fetch-Site", "cross-site")
	contains(t, want(201, "POST", "/v1/leases", "Hostler-Page", "1", "Sec-Fetch-Site", "same-origin"), "ann@example.org")
	want(401, "DELETE", "/v1/session")
	contains(t, want(200, "DELETE", "/v1/session", "Hostler-Page", "1"), `"revoked":true`)
	want(401, "GET", "/v1/self")

	// A sign-in that this browser has not begun is none, and neither is one of somebody who is not
	// let in.
	want(403, "GET", "/login/callback?code=x&state=y")
	want(403, "GET", "/login/callback?state=&code=x")
	answer = l.at.Browse(browser, "http://hostler.test/login?next=https://evil.example/", "eve", "")
	text = read(t, answer)
	if answer.StatusCode != http.StatusForbidden || strings.Contains(text, "evil") {
		t.Errorf(`%s: text = %s; want answer.StatusCode == http.StatusForbidden and text without "evil"`, answer.Status, text)
	}
	want(401, "GET", "/v1/self")
	// A token that is pasted.
	secret, err := os.ReadFile(filepath.Join(l.dir, "home/.local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	want(204, "POST", "/v1/session", "Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	contains(t, want(200, "GET", "/v1/self"), `"admin":true`)
	contains(t, want(200, "DELETE", "/v1/session", "Hostler-Page", "1"), `"revoked":false`)
	want(401, "GET", "/v1/self")
	want(401, "POST", "/v1/session", "Authorization", "Bearer guessed")
}

type travel func(*http.Request) (*http.Response, error)

func (f travel) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func read(t *testing.T, answer *http.Response) string {
	t.Helper()
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
