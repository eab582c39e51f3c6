package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

// described is a software release that says what parameters it wants.
func described(t *testing.T) (release string) {
	t.Helper()
	files := map[string]string{
		"/demo/software.cfg.json": `{"name": "Demo", "description": "to look at", "serialisation": "json-in-xml", "software-type": {"default": {"title": "Default", "request": "input.json"}}}`,
		"/demo/input.json": `{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["name"], "additionalProperties": false, "properties": {
			"name": {"title": "Name", "description": "of the shop", "type": "string", "pattern": "^[a-z]+$"}, "port": {"type": "integer", "minimum": 1024, "default": 8080},
			"size": {"enum": ["small", "large"]}, "more": {"type": "object"}}}`,
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/demo/software.cfg"
}

// TestPageSlap: what a person does with a SlapOS master on the page, which follows what nodes say
// and keeps what is secret until it is asked for.
func TestPageSlap(t *testing.T) {
	chromium(t)
	t.Setenv("PATH", plainPath(t))
	m := newMachine(t)
	// where the release's schema is
	m.conf("[slap]\ncomputer = COMP-1\n[fetch]\nallow = loopback\n")
	at, err := url.Parse(startController(t, m.env, m.work, m.runtime(), t.Cleanup, "--listen", "127.0.0.1:0", "--no-fill"))
	if err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	proxy := httputil.NewSingleHostReverseProxy(at)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// as it answers when its store is away
		if away.Load() && strings.HasPrefix(r.URL.Path, "/v1/slap/instances") {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"status": 503, "code": "unavailable", "detail": "the store does not answer"}`)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	c, err := client.New(client.Options{URL: at.String(), Token: m.token()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	node := func(method string, body any) {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.String()+"/slapos/"+method, strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+m.token())
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if said, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: answer.Status = %s said = %s; want answer.StatusCode == http.StatusOK", method, answer.Status, said)
		}
	}
	type d = map[string]any
	release := described(t)

	b := newBrowser(t, front.URL)
	b.sees("Token")
	b.signIn(m.token())
	b.do(chromedp.Click(`//a[.="SlapOS"]`))
	b.sees("There is no instance tree yet.")
	b.do(chromedp.Click(`//a[.="Computers"]`))
	b.sees("There is no computer yet")
	b.quiet("401")
	b.run(`window.thisPage = true`)
	node("slapos.put.v0.compute_node_format", d{"computer_guid": "COMP-1", "compute_partition_list": []d{
		{
			"partition_id": "slappart0",
			"ip_list":      []d{{"ip-address": "10.0.0.1", "network-interface": "tap0", "netmask": "255.255.255.255"}},
		}}})
	b.until("the computer, as it comes", `!!document.querySelector("a[href='/slap/computers/COMP-1']") && window.thisPage`)
	b.shot("slap-computers")

	// Software is supplied, and what the node says of it is shown.
	b.do(chromedp.Click(`//a[.="COMP-1"]`))
	b.sees("None is wanted on it.")
	b.do(chromedp.SendKeys("form.filters input", release), chromedp.Click(`//button[.="Supply"]`))
	b.sees("The software is wanted on COMP-1.")
	b.until("the software", `document.querySelector("[aria-label=Software] tbody tr")?.innerText.includes("available")`)
	node(
		"slapos.put.v0.software_installation_error",
		d{"computer_guid": "COMP-1", "software_release_uri": release, "message": "there is no compiler"},
	)
	b.sees("there is no compiler")

	// An instance is asked for by the form that the schema makes; what the schema does not take is
	// refused with its place.
	b.do(chromedp.Click(`//a[.="Request"]`))
	b.sees("Request an instance")
	field := func(label string) string {
		return `//label[starts-with(normalize-space(.), "` + label + `")]/*[self::input or self::textarea or self::select]`
	}
	b.do(chromedp.SendKeys(field("Title"), "shop"), chromedp.SendKeys(field("Software release"), release+"\t"))
	b.sees("Demo: to look at")
	b.sees("of the shop")
	b.do(chromedp.SendKeys(field("Name (name)"), "NOT SO"), chromedp.SendKeys(field("port"), "8081"))
	b.do(chromedp.Click("form.request button[type=submit]"))
	b.sees("the parameters are not as the software wants them: /name")
	b.shot("slap-request-refused")
	b.quiet("400")
	b.do(chromedp.Click(`//button[.="As JSON"]`))
	b.until("the same as JSON", `document.querySelector("fieldset textarea")?.value.includes('"port": 8081')`)
	b.do(chromedp.Click(`//button[.="As JSON"]`))
	b.until("the form again", `document.querySelector("fieldset input")?.value === "NOT SO"`)
	b.run(`document.querySelector("fieldset input").select()`)
	b.do(chromedp.SendKeys(field("Name (name)"), "books"), chromedp.Click("form.request button[type=submit]"))
	b.until("the instance", `document.querySelector("h1").innerText === "shop"`)
	b.until("its parameters", `document.querySelector("[aria-label=Parameters]")?.innerText.includes("8081")`)
	b.sees("It has told nothing yet.")

	// It follows what the node says, and shows what is secret when it is asked for.
	all, err := c.SlapOS().Computer(t.Context(), "COMP-1")
	if err != nil || all.Slots[0].Instance == nil || all.Slots[0].Instance.Title != "shop" {
		t.Fatalf(
			"all = %+v, err = %v"+
				`; want no error and all.Slots[0].Instance != nil and all.Slots[0].Instance.Title == "shop"`,
			all, err,
		)
	}
	id := all.Slots[0].Instance.Instance
	node(
		"slapos.put.v0.software_instance_connection_parameter",
		d{"instance_guid": id, "connection_parameter_dict": d{"password": "very secret"}},
	)
	node("slapos.put.v0.software_instance_error", d{"instance_guid": id, "message": "the promise url failed"})
	b.sees("the promise url failed")
	b.sees("password")
	if text := evaluate[string](b, `document.documentElement.outerHTML`); strings.Contains(text, "very secret") {
		t.Error("a secret is shown that nobody has asked for")
	}
	b.do(chromedp.Click(`//button[.="Show values"]`))
	b.sees("very secret")
	b.do(chromedp.Click(`//button[.="Hide values"]`))
	b.until("nothing secret", `!document.documentElement.outerHTML.includes("very secret")`)

	// With the keyboard alone it is stopped, and Escape stops nothing.
	b.run(`document.querySelector("h1").focus()`)
	b.tabTo("Stop shop")
	b.press("\r")
	b.sees("Stop shop?")
	b.press("\x1b")
	b.until("nothing asked", `!document.querySelector("dialog[open]")`)
	b.press("\r")
	b.sees("Stop shop?")
	b.tabTo("Stop")
	b.press("\r")
	b.sees("shop is wanted stopped.")
	b.until("stopped", `document.querySelector(".facts").innerText.includes("stopped")`)
	if now, err := c.SlapOS().Instance(t.Context(), id); err != nil || now.State != proto.Stopped || now.Parameters["name"] != "books" {
		t.Errorf(
			"now = %+v, err = %v"+
				`; want no error and now.State == proto.Stopped and now.Parameters["name"] == "books"`,
			now, err,
		)
	}
	b.do(chromedp.Click(`//a[.="Change"]`))
	b.sees("Change shop")
	b.until("what it has", `document.querySelector("fieldset input")?.value === "books"`)
	b.do(chromedp.SetValue(field("size"), "large"))
	b.run(`document.querySelector("fieldset select").dispatchEvent(new Event("input", {bubbles: true}))`)
	b.do(chromedp.Click("form.request button[type=submit]"))
	b.sees("shop was changed.")
	b.until("the new parameter", `document.querySelector("[aria-label=Parameters]")?.innerText.includes("large")`)

	// A second one has no place, and it is said why.
	if _, err := c.SlapOS().Request(t.Context(), slapRequest("second", release)); err != nil {
		t.Fatal(err)
	}
	node(
		"slapos.post.v0.compute_node_usage",
		d{
			"computer_guid": "COMP-1",
			"tioxml":        `<?xml version='1.0' encoding='utf-8'?><journal><transaction type="Sale Packing List"><title>Resource consumptions</title><start_date/><stop_date/><reference>COMP-1</reference><currency/><payment_mode/><category/><arrow type="Administration"><source/><destination/></arrow><movement><resource>cpu</resource><title>CPU load</title><reference>COMP-1</reference><quantity>42.5</quantity><price>0</price><VAT/><category/></movement></transaction></journal>`,
		},
	)
	node(nodereport.Method, d{"computer_guid": "COMP-1", "compute_partition_list": []d{{"partition_id": "slappart0",
		"process_list": []d{{"name": "server-on-watch", "state": "RUNNING", "pid": 7,
			"started": "2026-11-22T07:00:00Z", "cpu": 12.5, "memory": 3 << 20}, {"name": "once", "state": "EXITED"}}, "promise_list": []d{
			{
				"name": "url", "failed": true, "text": "no answer from it", "hours": "----00000000000000000939",
				"hours_until": "2026-11-22T08:00:00Z",
			},
			{"name": "fine", "text": "ok"},
		}}}})
	away.Store(true)
	b.do(chromedp.Click(`//a[.="Instance trees"]`))
	b.sees("the store does not answer")
	b.quiet("503")
	away.Store(false)
	b.do(chromedp.Click(`//a[.="Computers"]`))
	b.do(chromedp.Click(`//a[.="Instance trees"]`))
	b.sees("no place")
	for _, view := range []struct{ name, path, sees string }{
		{"trees", "/slap", "No place"}, {"tree", "/slap/instances/" + id, "the promise url failed"},
		{"computer", "/slap/computers/COMP-1", "CPU load"},
		{"computer-runs", "/slap/computers/COMP-1", "no answer from it"},
		{"request", "/slap/request", "Where it may be"},
	} {
		for _, how := range []struct {
			name          string
			width, height int64
			dark          bool
		}{{"desk-light", 1280, 800, false}, {"phone-dark", 360, 740, true}} {
			b.do(b.size(how.width, how.height, how.dark))
			if how.name == "desk-light" {
				b.do(chromedp.Navigate(b.url + view.path))
			}
			b.sees(view.sees)
			b.sees("live")
			if view.name == "computer-runs" && how.name == "desk-light" {
				b.until(
					"the promise's last day",
					`/^Asked in 20 of 24 hours. Failed in 3, /.test(document.querySelector("[aria-label=Promises] svg.day")?.getAttribute("aria-label"))`,
				)
			}
			b.legible("slap " + view.name + " " + how.name)
			b.shot("slap-" + view.name + "-" + how.name)
		}
	}
	b.do(b.size(1280, 800, false), chromedp.Navigate(b.url+"/slap/instances/"+id), chromedp.Click(`//button[.="Destroy"]`))
	b.sees("Destroy shop?")
	b.do(chromedp.Click("dialog button[type=submit]"))
	b.sees("shop is wanted destroyed.")
	b.quiet("503") // of the time when the store was away
}

func slapRequest(title, release string) api.SlapRequest {
	return api.SlapRequest{Title: title, Release: release, Parameters: map[string]any{"name": "second"}}
}
