package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// pageAt is a controller with a few sources, its page in a browser, signed in, and a client of the
// same user.
func pageAt(t *testing.T, options ...string) (*machine, *browser, *client.Client) {
	t.Helper()
	chromium(t)
	t.Setenv("PATH", plainPath(t))
	m := newMachine(t)
	m.source("web", "type = fake\nspare = 2\nmaximum = 6\nprice = 0.25\n[fake]\nrun = exec\nboot = 300ms\n")
	m.source("broken", "type = fake\nreserve = 1\n[fake]\nfail-create = always\n")
	m.source("tight", "type = fake\nmaximum = 1\n")
	m.source("stack", "type = pool\nsources = web\n")
	url := startController(t, m.env, m.work, m.runtime(), t.Cleanup, append([]string{"--listen", "127.0.0.1:0"}, options...)...)
	b := newBrowser(t, url)
	token := m.token()
	b.sees("Token")
	b.shot("signing-in")
	b.legible("signing in")
	b.do(chromedp.Focus("input[type=password]"))
	b.press("not the token of anybody\r")
	b.sees("does not know this token")
	b.run(`document.querySelector("input[type=password]").select()`)
	b.press(token + "\r")
	b.until("the sources", `document.querySelector("h1")?.innerText === "Sources"`)
	b.quiet("401") // asking who one is, and the wrong token
	c, err := client.New(client.Options{URL: url, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return m, b, c
}

// runtime is the directory for sockets.
func (m *machine) runtime() string {
	for _, v := range m.env {
		if dir, ok := strings.CutPrefix(v, "XDG_RUNTIME_DIR="); ok {
			return dir
		}
	}
	m.t.Fatal("no XDG_RUNTIME_DIR")
	return ""
}

func (m *machine) token() string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.state(), "controller.token"))
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (b *browser) take(c *client.Client, source string) compute.Lease {
	b.t.Helper()
	ls, err := c.Acquire(b.t.Context(), compute.Request{Source: source, Count: 1, Purpose: "a test of the page", Wait: time.Minute})
	if err != nil {
		b.t.Fatal(err)
	}
	return ls[0]
}

// inUse is an expression for how many of a source are in use, as the page has it.
const webInUse = `[...document.querySelectorAll("tbody tr")].find(r => r.querySelector("th a")?.innerText === "web")?.cells[2].innerText`

// TestPage: what a person does with the page, with a mouse and then with the keyboard alone; the
// page follows what others do.
func TestPage(t *testing.T) {
	_, b, c := pageAt(t)
	b.until(
		"two that stand ready",
		`[...document.querySelectorAll("tbody tr")].find(r => r.querySelector("th a")?.innerText === "web")?.cells[1].innerText === "2"`,
	)
	b.sees("live")
	b.until("none in use", webInUse+` === "0"`)
	if evaluate[bool](b, `!!document.querySelector("a[href='/slap']")`) {
		t.Error("a controller that is no SlapOS master shows one")
	}
	b.run(`window.thisPage = true`)
	l := b.take(c, "web")
	b.until("one in use", webInUse+` === "1" && window.thisPage`)
	b.sees("Paused after")
	b.shot("sources")

	b.do(chromedp.Click(`//a[.="Leases"]`))
	b.sees("a test of the page")
	b.shot("leases")
	b.do(chromedp.Click(`//a[.="` + string(l.Instance) + `"]`))
	b.sees("Booted, until it answered")
	b.shot("instance")
	b.do(chromedp.Click(`//a[.="Terminal"]`))
	b.until(
		"a prompt",
		`document.querySelector(".xterm-helper-textarea") === document.activeElement && /[$#] *$/m.test(document.querySelector(".xterm-rows").innerText)`,
	)
	b.press("echo it is $((6*7))\r")
	b.until("the command's output", `document.querySelector(".xterm-rows").innerText.includes("it is 42")`)
	b.press("printf '\\033[38;2;9;99;200mcolours\\033[0m \\033[31mred\\033[0m\\n'\r")
	b.until("colours", `[...document.querySelectorAll(".xterm-rows span")].some(e => e.innerText.includes("colours") && e.style.color)`)
	b.shot("terminal")
	b.press("exit 3\r")
	b.sees("ended with status 3")
	b.quiet()

	// And with the keyboard alone.
	b.run(`document.querySelector("h1").focus()`)
	b.tabTo("Close")
	b.press("\r")
	b.until(
		"the instance",
		`document.querySelector("h1").innerText === "`+string(l.Instance)+`" && document.activeElement === document.querySelector("h1")`,
	)
	b.tabTo("Release " + string(l.Instance))
	b.press("\r")
	b.sees("Release " + string(l.Instance) + "?")
	b.shot("asking")
	b.legible("a question")
	b.press("\x1b") // Escape
	b.until("nothing asked", `!document.querySelector("dialog[open]")`)
	if now := b.focused(); now != "Release "+string(l.Instance) {
		t.Errorf("after Escape %q has the focus", now)
	}
	if _, _, err := c.Resolve(t.Context(), l.ID); err != nil {
		t.Errorf("Escape released it: %v", err)
	}
	b.press("\r")
	b.sees("Release " + string(l.Instance) + "?")
	b.tabTo("Release")
	b.press("\r")
	b.sees(string(l.Instance) + " was released.")
	leases, err := c.Leases(t.Context(), inventory.LeaseQuery{})
	if err != nil || len(leases) != 0 {
		t.Errorf("leases: %v, %v", leases, err)
	}

	// Who waits is seen, and can be sent away.
	b.take(c, "tight")
	gone := make(chan error, 1)
	go func() {
		_, err := c.Acquire(t.Context(), compute.Request{Source: "tight", Count: 1, Wait: time.Hour})
		gone <- err
	}()
	b.do(chromedp.Click(`//a[.="Leases"]`))
	b.until("who waits", `document.querySelector("[aria-label=Queue] tbody tr")?.innerText.includes("tight")`)
	b.shot("queue")
	b.do(chromedp.Click(`//button[.="Cancel"]`), chromedp.Click("dialog button[type=submit]"))
	b.sees("The request was cancelled.")
	if err := <-gone; err == nil {
		t.Error("a request that was cancelled has its lease")
	}
	b.sees("Nobody waits.")

	// Others leave it, and more is done with an instance.
	l = b.take(c, "web")
	b.do(chromedp.Navigate(b.url + "/instances/" + string(l.Instance)))
	b.do(chromedp.Click(`//button[.="Hold"]`))
	b.sees("Hold " + string(l.Instance) + "?")
	b.do(chromedp.SendKeys("dialog input", "to look at it"), chromedp.Click("dialog button[type=submit]"))
	b.sees(string(l.Instance) + " is held.")
	b.sees("to look at it")
	b.do(chromedp.Click(`//button[.="Discard"]`), chromedp.Click("dialog button[type=submit]"))
	b.sees("This instance is gone")
	b.do(chromedp.Click(`//button[.="Sign out"]`))
	b.sees("Token")
	b.do(chromedp.Reload())
	b.sees("Token")
	b.quiet("401", "404") // asked for an instance that is gone, and by nobody
}

// TestPageLooks: each view on a desk and on a phone, in light and dark: legible, within the window,
// every control with a name.
func TestPageLooks(t *testing.T) {
	_, b, c := pageAt(t)
	l := b.take(c, "web")
	b.take(c, "stack")
	b.take(c, "web")
	for _, view := range []struct{ name, path, sees string }{
		{"sources", "/", "web"},
		{"instances", "/instances", string(l.Instance)},
		{"instance", "/instances/" + string(l.Instance), "What happened"},
		{"terminal", "/instances/" + string(l.Instance) + "/terminal", "Tab is the shell's"},
		{"leases", "/leases", string(l.Instance)},
		{"director", "/director", "Lately"},
		{"history", "/history?source=web", "at once from what stood ready"},
		{"events", "/events", "leased"},
		{"nowhere", "/history/none", "nothing here"},
	} {
		for _, how := range []struct {
			name          string
			width, height int64
			dark          bool
		}{
			{"desk-light", 1280, 800, false}, {"desk-dark", 1280, 800, true}, {"phone-light", 360, 740, false},
			{"phone-dark", 360, 740, true},
		} {
			b.do(b.size(how.width, how.height, how.dark))
			if how.name == "desk-light" {
				b.do(chromedp.Navigate(b.url + view.path))
			}
			b.sees(view.sees)
			b.sees("live")
			b.legible(view.name + " " + how.name)
			b.shot(view.name + "-" + how.name)
		}
		b.quiet()
	}
}

// TestPageFollows: the page goes on when the controller was killed and started anew, and misses
// nothing of what happened meanwhile.
func TestPageFollows(t *testing.T) {
	chromium(t)
	t.Setenv("PATH", plainPath(t))
	m := newMachine(t)
	m.source("web", "type = fake\n")
	address := ""
	start := func() (stop func()) {
		var ends []func()
		url := startController(t, m.env, m.work, m.runtime(), func(f func()) { ends = append(ends, f) }, "--listen", address)
		address = strings.TrimPrefix(url, "http://")
		return func() {
			for _, f := range ends {
				f()
			}
		}
	}
	address = "127.0.0.1:0"
	stop := start()
	b := newBrowser(t, "http://"+address)
	b.sees("Token")
	b.do(chromedp.Focus("input[type=password]"))
	b.press(m.token() + "\r")
	b.sees("live")
	b.do(chromedp.Click(`//a[.="Events"]`))
	// which are loaded when they are wanted
	b.until("the events", `document.querySelector("h1")?.innerText === "Events"`)
	b.run(`window.thisPage = true`)
	stop()
	b.sees("not reached")
	b.shot("not-reached")
	if out, err := m.command("acquire", "-s", "web", "--purpose", "while it was down").CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	stop = start()
	defer stop()
	answers200(t, "http://"+address)
	b.sees("live")
	b.sees("while it was down")
	times := evaluate[int](b, `[...document.querySelectorAll(".journal li")].filter(e => e.innerText.includes("while it was down")).length`)
	same := evaluate[bool](b, `!!window.thisPage`)
	if times != 1 || !same {
		t.Errorf("it is there %d times; the same page: %v", times, same)
	}
}

// TestPageOpenedWhileAway: opened while the controller is away, behind something that answers in
// its place, the page says so, and goes on when it is back.
func TestPageOpenedWhileAway(t *testing.T) {
	chromium(t)
	t.Setenv("PATH", plainPath(t))
	m := newMachine(t)
	at, err := url.Parse(startController(t, m.env, m.work, m.runtime(), t.Cleanup, "--listen", "127.0.0.1:0", "--no-fill"))
	if err != nil {
		t.Fatal(err)
	}
	var away, journal atomic.Bool
	away.Store(true)
	proxy := httputil.NewSingleHostReverseProxy(at)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() && strings.HasPrefix(r.URL.Path, "/v1/") || journal.Load() && strings.HasPrefix(r.URL.Path, "/v1/events") {
			http.Error(w, "no upstream", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	b := newBrowser(t, front.URL)
	b.sees("The controller answers 503. It is asked again")
	away.Store(false)
	b.sees("Token")

	// Nor does it say that nothing happened while it does not know.
	journal.Store(true)
	b.signIn(m.token())
	b.opens("Events")
	b.sees("What happened is not known.")
	journal.Store(false)
	b.sees("Nothing happened lately.")
}

// TestPageLeft: a page that was left lets go of its stream, of which a browser has six for a
// controller, and hears again when somebody comes back to it.
func TestPageLeft(t *testing.T) {
	chromium(t)
	t.Setenv("PATH", plainPath(t))
	m := newMachine(t)
	m.source("web", "type = fake\n")
	at, err := url.Parse(startController(t, m.env, m.work, m.runtime(), t.Cleanup, "--listen", "127.0.0.1:0", "--no-fill"))
	if err != nil {
		t.Fatal(err)
	}
	var streams, begun atomic.Int32
	proxy := httputil.NewSingleHostReverseProxy(at)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/events/watch" {
			begun.Add(1)
			streams.Add(1)
			defer streams.Add(-1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	b := newBrowser(t, front.URL)
	b.sees("Token")
	b.signIn(m.token())
	b.sees("live")
	for _, view := range []string{"/leases", "/events", "/"} {
		b.do(chromedp.Navigate(b.url + view))
		b.sees("live")
	}
	until(t, "one stream", func() bool { return streams.Load() == 1 })
	if n := begun.Load(); n < 4 {
		t.Errorf("of four pages %d have opened a stream, so this tests nothing", n)
	}
	b.run(`history.back()`)
	b.until("the page before", `document.querySelector("h1")?.innerText === "Events"`)
	b.sees("live")
	if out, err := m.command("acquire", "-s", "web", "--purpose", "after coming back").CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	b.sees("after coming back")
	until(t, "one stream again", func() bool { return streams.Load() == 1 })
}

// TestPageForgets: what one who has signed out could see is not shown to the next who signs in at
// that window.
func TestPageForgets(t *testing.T) {
	chromium(t)
	t.Setenv("PATH", plainPath(t))
	m := newMachine(t)
	m.source("web", "type = fake\n")
	m.source("other", "type = fake\n")
	b := newBrowser(t, startController(t, m.env, m.work, m.runtime(), t.Cleanup, "--listen", "127.0.0.1:0", "--no-fill"))
	for _, source := range []string{"web", "other"} {
		if out, err := m.command("acquire", "-s", source, "--purpose", "for "+source).CombinedOutput(); err != nil {
			t.Fatalf("%v: out = %s; want no error", err, out)
		}
	}
	limited, err := m.command("token", "create", "--source", "other").Output()
	if err != nil {
		t.Fatal(err)
	}
	b.sees("Token")
	b.signIn(m.token())
	b.opens("Events")
	b.sees("for web")
	b.do(chromedp.Click(`//button[.="Sign out"]`))
	b.sees("Token")
	b.signIn(strings.TrimSpace(string(limited)))
	b.opens("Events")
	b.sees("for other")
	if text := evaluate[string](b, `document.body.innerText`); strings.Contains(text, "for web") {
		t.Errorf("it shows %s", text)
	}
}

// signIn types a token into the page.
func (b *browser) signIn(token string) {
	b.t.Helper()
	b.do(chromedp.Focus("input[type=password]"))
	b.press(token + "\r")
	b.sees("Sign out")
}

// opens goes to a view, which is loaded when it is wanted.
func (b *browser) opens(view string) {
	b.t.Helper()
	b.do(chromedp.Click(`//a[.="` + view + `"]`))
	b.until("the view", `document.querySelector("h1")?.innerText === "`+view+`"`)
}

// TestPageFiles: what a browser is told with the page's files, and that the rest is the API's.
func TestPageFiles(t *testing.T) {
	t.Setenv("PATH", plainPath(t))
	m := newMachine(t)
	url := startController(t, m.env, m.work, m.runtime(), t.Cleanup, "--listen", "127.0.0.1:0", "--no-fill")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for path, status := range map[string]int{
		"/": 200, "/instances/web-1/terminal": 200, "/LICENSES.txt": 200, "/v1/sources": 401, "/nothing": 401,
		"/assets/none.js": 401, "/openapi.json": 200,
	} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != status {
			t.Errorf("%s: answer.Status = %s; want answer.StatusCode == status", path, answer.Status)
		}
	}
}
