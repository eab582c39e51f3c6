package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is a real Chromium with one page open.
type browser struct {
	t   *testing.T
	ctx context.Context
	url string // of the controller

	marks chan string
	said  int

	mu    sync.Mutex
	wrong []string // what the page's console has complained of
}

// chromium finds the browser, or skips the test.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
		t.Fatal("chromium: not installed")
	}
	t.Skip("chromium: not installed")
	return ""
}

// newBrowser opens a controller's page.
func newBrowser(t *testing.T, url string, more ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-dev-shm-usage", true))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	options = append(options, more...)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, url: url, marks: make(chan string, 16)}
	// it lives as long as this context
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	said := chromedp.Console(ctx)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for m, err := range said {
			if err != nil {
				return // it ends
			}
			b.hear(m)
		}
	}()
	t.Cleanup(func() { cancel(); <-heard })
	b.quiet()
	b.do(b.size(1280, 800, false), chromedp.Navigate(url+"/"))
	return b
}

// mark is a word that we have the console say, to hear what was said before.
const mark = "mark of the test "

// hear notes what the console says.
func (b *browser) hear(m chromedp.ConsoleMessage) {
	if strings.HasPrefix(m.Text, mark) {
		b.marks <- m.Text
		return
	}
	if m.Type == "error" || m.Type == "warning" || m.Type == chromedp.ConsoleException {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %s %s", m.Type, m.Text, m.URL))
	}
}

// quiet fails if the console has complained since it was last asked, but for lines with one of
// these texts.
func (b *browser) quiet(but ...string) {
	b.t.Helper()
	b.said++
	word := fmt.Sprint(mark, b.said)
	for limit, heard := time.After(time.Minute), false; !heard; {
		b.run(fmt.Sprintf("console.log(%q)", word)) // again, where nobody listened yet
		select {
		case got := <-b.marks:
			heard = got == word
		case <-time.After(time.Second):
		case <-limit:
			b.t.Fatal("the browser's console is not heard")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, w := range b.wrong {
		for _, text := range but {
			if strings.Contains(w, text) {
				continue next
			}
		}
		b.t.Errorf("the browser's console: %s", w)
	}
	b.wrong = nil
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.shot("failed")
		b.t.Fatalf("the browser: %v\n%s", err, b.text())
	}
}

// run runs a script.
func (b *browser) run(script string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](script))
}

// evaluate is what a script says.
func evaluate[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.shot("failed")
		b.t.Fatalf("the browser: %s: %v", script, err)
	}
	return v
}

// size makes the window so large, in a theme.
func (b *browser) size(width, height int64, dark bool) chromedp.Action[chromedp.Void] {
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(
			ctx, t, emulation.SetDeviceMetricsOverride,
			emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500},
		)
		if err == nil {
			_, err = cdp.Call(
				ctx, t, emulation.SetEmulatedMedia,
				emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}},
			)
		}
		return err
	})
}

// text is what is seen.
func (b *browser) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	return text
}

// until waits until a JavaScript expression is true.
func (b *browser) until(what, expression string) {
	b.t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		cancel()
		if err == nil && is {
			return
		}
		if time.Now().After(limit) {
			b.shot("failed")
			b.t.Fatalf("%s does not come: %v\n%s", what, err, b.text())
		}
	}
}

// sees waits until a text is seen.
func (b *browser) sees(text string) {
	b.t.Helper()
	b.until(text, fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// press types keys, as a keyboard does.
func (b *browser) press(keys string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, r := range keys {
			for _, e := range kb.Encode(r) {
				switch e.Type {
				case kb.KeyChar:
					// as of a real key: there is none where the page has handled the key itself
					continue
				case kb.KeyDown:
					if k := kb.Keys[r]; k != nil && k.Text != "" {
						e.Text = k.Text
					}
				}
				if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, *e); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

// focused is the name of what has the focus, as a screen reader says it, nearly.
func (b *browser) focused() string {
	b.t.Helper()
	return strings.TrimSpace(evaluate[string](
		b,
		`(e => e.getAttribute("aria-label") || e.labels?.[0]?.innerText || e.innerText || e.tagName)(document.activeElement)`,
	))
}

// tabTo presses Tab until something has the focus. Each stop must be seen to have it.
func (b *browser) tabTo(name string) {
	b.t.Helper()
	var passed []string
	for range 60 {
		b.press("\t")
		now := b.focused()
		passed = append(passed, now)
		if !evaluate[bool](
			b,
			`(e => e === document.body || getComputedStyle(e).outlineStyle !== "none" && parseFloat(getComputedStyle(e).outlineWidth) >= 2)(document.activeElement)`,
		) {
			b.t.Errorf("%q has the focus, and it does not show", now)
		}
		if now == name {
			return
		}
	}
	b.shot("failed")
	b.t.Fatalf("Tab does not lead to %q, but to %q", name, passed)
}

// shot keeps a picture, for people to look at.
func (b *browser) shot(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	dir := os.Getenv("HOSTLER_ARTIFACTS")
	if dir == "" {
		dir = b.t.TempDir()
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "page-"+name+".png"), picture, 0o644)
	}
	if err != nil {
		b.t.Logf("no picture of %s: %v", name, err)
	}
}

// legible fails where text stands out too little from what is behind it (WCAG 2.2, AA), where
// something is wider than the window, and where what can be used has no name.
func (b *browser) legible(where string) {
	b.t.Helper()
	for _, w := range evaluate[[]string](b, legible) {
		b.t.Errorf("%s: %s", where, w)
	}
}

const legible = `(() => {
	const wrong = [];
	const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return [m[0], m[1], m[2], m[3] ?? 1]; };
	const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
	const behind = e => { let stack = []; for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); stack.push(c); if (c[3] === 1) break; }
		return stack.reverse().reduce((under, c) => over(c, under), [255, 255, 255, 1]); };
	const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	const told = new Set();
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || !e.checkVisibility({ visibilityProperty: true }) || e.closest(".unseen, .skip, .xterm, noscript, option, [disabled]")) continue;
		const style = getComputedStyle(e);
		const back = behind(e);
		const fore = over(parse(e.namespaceURI.endsWith("svg") ? style.fill : style.color), back);
		const [a, b] = [light(fore), light(back)].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && +style.fontWeight >= 700;
		const line = e.tagName + "." + e.className + " " + ratio.toFixed(2);
		if (ratio < (large ? 3 : 4.5) && !told.has(line)) { told.add(line); wrong.push("contrast of " + line + ": " + walk.currentNode.data.trim().slice(0, 40)); }
	}
	if (document.documentElement.scrollWidth > innerWidth) wrong.push("it is " + document.documentElement.scrollWidth + " wide, and the window " + innerWidth);
	for (const e of document.querySelectorAll("a, button, input, select, summary, [role=region]")) {
		if (!e.checkVisibility()) continue;
		const name = e.getAttribute("aria-label") || e.labels?.[0]?.innerText || e.innerText;
		if (!name?.trim() && !e.closest(".xterm")) wrong.push("no name: " + e.outerHTML.slice(0, 80));
		if (e.tabIndex < 0 && !e.disabled && !e.closest(".xterm")) wrong.push("no way to it by keyboard: " + e.outerHTML.slice(0, 80));
	}
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	if (new Set(ids).size !== ids.length) wrong.push("an id twice: " + ids);
	if (document.querySelectorAll("h1").length !== 1 || document.querySelectorAll("main").length !== 1) wrong.push("not one h1 and one main");
	if (!document.documentElement.lang || !document.title) wrong.push("no language or title");
	return wrong;
})()`

// answers waits until a controller answers.
func answers200(t *testing.T, url string) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get(url + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(limit) {
			t.Fatalf("%s does not answer: %v", url, err)
		}
	}
}
