package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/webhook"
)

const hookSecret = "sixteen letters and more"

// hookReceiver keeps what it was told.
type hookReceiver struct {
	t *testing.T

	mu  sync.Mutex
	got []compute.Event
}

func (r *hookReceiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	if err := webhook.Verify(hookSecret, q.Header.Get(webhook.SignatureHeader), body, time.Now(), time.Hour); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var d webhook.Delivery
	if err := json.Unmarshal(body, &d); err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !d.Test {
		r.got = append(r.got, d.Event)
	}
}

func (r *hookReceiver) events() []compute.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]compute.Event{}, r.got...)
}

// TestWebhooks kills the controller again and again: what happened meanwhile is told all the same,
// in order, and nothing twice but what it cannot know was taken.
func TestWebhooks(t *testing.T) {
	r := &hookReceiver{t: t}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	files := map[string]string{
		"sources/web/source.conf": "type = fake\nreserve = 1\n",
		"secret":                  hookSecret + "\n",
	}
	o := newYard(t, files)
	conf := filepath.Join(o.Dir, ".config/hostler/hostler.conf")
	write := func(text string) {
		text = strings.NewReplacer("URL", srv.URL, "SECRET", "file:"+filepath.Join(o.Dir, ".config/hostler/secret")).Replace(text)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const good = "[webhook good]\nurl = URL/x?token=hidden\nsecret = SECRET\nevents = leased, released\nsources = web\n"
	write(good + "[webhook dead]\nurl = http://127.0.0.1:1/\nsecret = SECRET\n")
	var names []string
	use := func() {
		name := strings.TrimSpace(o.run("acquire", "-s", "web"))
		o.run("release", name)
		names = append(names, name)
	}
	begun := func() bool {
		return regexp.MustCompile(`"after": [1-9]`).MatchString(o.run("webhook", "list", "--json"))
	} // what came before it is not told to it
	o.run("fill", "web") // so that there is something before it
	k := o.Serve("--no-fill")
	waitFor(t, "it begins", begun)
	for range 3 {
		use()
		k.kill()
		use() // by itself: the journal is the same
		k = o.Serve("--no-fill")
	}
	waitFor(t, "all is told", func() bool {
		all := r.events()
		return len(all) > 0 && all[len(all)-1].Kind == "released" && count(all) == 2*len(names)
	})
	last := int64(0)
	for _, e := range r.events() {
		if e.Source != "web" || e.Kind != "leased" && e.Kind != "released" {
			t.Errorf("nobody asked for %+v", e)
		}
		last = max(last, e.ID)
	}
	if all := o.run("events", "web", "--json"); strings.Count(all, `"kind":"leased"`) != len(names) {
		t.Errorf("the journal has another number: %s", all)
	}
	waitFor(t, "its state is kept", func() bool {
		list := o.run("webhook", "list")
		return strings.Contains(list, "good") && strings.Contains(list, "dead") &&
			strings.Contains(list, "not taken for") && !strings.Contains(list, "hidden")
	})
	if out := o.run("webhook", "test", "good"); !strings.Contains(out, "took it with status 200") {
		t.Error(out)
	}
	if out := o.Fail("webhook", "test", "dead"); !strings.Contains(out, "refused") {
		t.Error(out)
	}
	if out := o.Fail("webhook", "test", "god"); !strings.Contains(out, "did you mean good?") {
		t.Error(out)
	}
	o.run("webhook", "skip", "dead")

	// What is wrong is told, and changes nothing.
	for text, want := range map[string]string{
		"[webhook x]\nurl = URL\nsecret = " + hookSecret:                "is to be said where it stands",
		"[webhook x]\nurl = http://192.0.2.1/\nsecret = SECRET":         "can be read on the way",
		"[webhook x]\nurl = URL\nsecret = SECRET\nevent = leased":       "did you mean events?",
		"[webhook x]\nsecret = SECRET":                                  "url",
		"[webhook x]\nurl = URL\nsecret = SECRET\nevents = relesed":     "did you mean released?",
		"[webhook x]\nurl = URL\nsecret = SECRET\nprojects = web":       "there is no such project",
		"[webhok x]\nurl = URL":                                         "unknown section",
		"[webhook x]\nurl = ftp://127.0.0.1/?secret\nsecret = SECRET\n": "is not https://",
	} {
		write(text)
		if out := o.Fail("reload"); !strings.Contains(out, want) || strings.Contains(out, hookSecret) {
			t.Errorf("%s: out = %s; want out with want and out without hookSecret", text, out)
		}
	}
	write(strings.Replace(good, "good", "new", 1))
	o.run("reload")
	waitFor(t, "the new one begins", begun)
	before := len(r.events())
	use()
	waitFor(t, "it is told", func() bool { return count(r.events()) == 2*len(names) })
	if n := len(r.events()) - before; n != 2 {
		t.Errorf("a new one was told %d events", n)
	}
	k.Stop()
	if out := o.run("--embedded", "webhook", "list"); !strings.Contains(out, "new") {
		t.Error(out)
	}
}

// count is how many events there are, those that came twice once; out of order they count for
// nothing.
func count(all []compute.Event) int {
	n, last := 0, int64(0)
	for _, e := range all {
		if e.ID > last {
			n, last = n+1, e.ID
		}
	}
	return n
}
