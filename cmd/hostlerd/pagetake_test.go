package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/hostler-project/hostler/compute/inventory"
)

// TestPageTakes: on the page one takes what stands ready, and waits for what does not until one
// gives that up.
func TestPageTakes(t *testing.T) {
	_, b, c := pageAt(t)
	b.until("a button", `document.querySelector("[aria-label='Take web']")`)
	b.until("one for each source", `document.querySelectorAll("[aria-label^='Take ']").length >= 4`)
	b.do(chromedp.Click(`[aria-label="Take web"]`))
	b.sees("Take an instance of web?")
	b.legible("taking")
	b.until("the field", `document.querySelector("dialog[open] input")`)
	b.do(chromedp.Focus("dialog input"))
	b.press("taken on the page\r")
	b.sees("is yours.")
	leases, err := c.Leases(t.Context(), inventory.LeaseQuery{})
	if err != nil || len(leases) != 1 || leases[0].Purpose != "taken on the page" ||
		!strings.HasPrefix(string(leases[0].Instance), "web-") {
		t.Fatalf(
			"leases = %+v, err = %v"+
				`; want no error and len(leases) == 1 and leases[0].Purpose == "taken on the page" and `+
				`strings.HasPrefix(string(leases[0].Instance), "web-")`,
			leases, err,
		)
	}
	b.until("one in use", webInUse+` === "1"`)

	b.take(c, "tight")
	b.do(chromedp.Click(`[aria-label="Take tight"]`))
	b.sees("Take an instance of tight?")
	b.do(chromedp.Click("dialog button[type=submit]"))
	waiting := func() int {
		q, err := c.Queue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(q)
	}
	waitFor(t, "it waits", func() bool { return waiting() == 1 })
	b.sees("Taking …")
	b.press("\x1b") // Escape
	b.until("nothing asked", `!document.querySelector("dialog[open]")`)
	waitFor(t, "it is given up", func() bool { return waiting() == 0 })
	if leases, err := c.Leases(t.Context(), inventory.LeaseQuery{}); err != nil || len(leases) != 2 {
		t.Errorf("leases = %+v, err = %v; want no error and len(leases) == 2", leases, err)
	}
	b.quiet("ERR_ABORTED", "canceled")
}

// TestPageSignsIn: a real browser goes to the provider's page and comes back as somebody, takes a
// lease as that, and signs out.
func TestPageSignsIn(t *testing.T) {
	chromium(t)
	l := newLand(t, "allowed-domains = example.org\n")
	// The name that the provider knows us by leads to where we are.
	rules := fmt.Sprintf("MAP hostler.test:80 %s", strings.TrimPrefix(l.url, "http://"))
	b := newBrowser(t, "http://hostler.test", chromedp.Flag("host-resolver-rules", rules))
	b.sees("Token")
	b.until("a way to the provider", `document.querySelector("a[href^='/login']")`)
	b.shot("provider")
	// the name is no secure place, as it is without TLS
	b.quiet("401", "Cross-Origin-Opener-Policy")
	b.do(chromedp.Click("a[href^='/login']"))
	b.until("the provider's page", `document.querySelector("input[name=username]")`)
	b.do(chromedp.Focus("input[name=username]"))
	b.press("ann")
	b.do(chromedp.Focus("input[name=password]"))
	b.press("secret\r")
	b.until("the page again", `location.host === "hostler.test" && document.querySelector("h1")?.innerText === "Sources"`)
	b.sees("ann@example.org")
	if kept := evaluate[string](b, "document.cookie"); kept != "" {
		t.Errorf("scripts see %q", kept)
	}
	b.do(chromedp.Click(`[aria-label="Take box"]`))
	b.sees("Take an instance of box?")
	b.do(chromedp.Click("dialog button[type=submit]"))
	b.sees("is yours.")
	out, _ := l.run(l.env, 0, "", "status", "-v", "box")
	contains(t, out, "ann@example.org")
	b.do(chromedp.Click(`//button[.="Sign out"]`))
	b.sees("Token")
	b.run(`fetch("/v1/self").then(r => { window.after = r.status })`)
	b.until("nobody any more", "window.after === 401")
}
