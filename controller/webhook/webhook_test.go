package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/webhook"
	"github.com/hostler-project/hostler/policy/fetch"
)

const secret = "a secret of some length"

// journal is one in memory.
type journal struct {
	mu     sync.Mutex
	events []compute.Event
	at     map[string]webhook.Position
	keeps  int
	most   int // that were read at once
}

func (j *journal) add(n int, kind, source string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for range n {
		id := int64(len(j.events) + 1)
		j.events = append(
			j.events,
			compute.Event{ID: id, Kind: kind, Source: source, Time: time.Unix(id, 0), Text: fmt.Sprint("event ", id)},
		)
	}
}

func (j *journal) Events(_ context.Context, q inventory.EventQuery) ([]compute.Event, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := slices.Clone(j.events[min(int(q.After), len(j.events)):])
	if q.Newest > 0 {
		out = out[max(0, len(out)-q.Newest):]
	}
	if q.Limit > 0 {
		out = out[:min(len(out), q.Limit)]
	}
	j.most = max(j.most, len(out))
	return out, nil
}

func (j *journal) Position(_ context.Context, hook string) (webhook.Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p, ok := j.at[hook]
	if !ok {
		return p, &compute.Error{Kind: compute.ErrNotFound}
	}
	return p, nil
}

func (j *journal) Keep(_ context.Context, hook string, p webhook.Position) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.at == nil {
		j.at = map[string]webhook.Position{}
	}
	j.keeps++
	if j.at[hook].After <= p.After {
		j.at[hook] = p
	}
	return nil
}

// receiver takes deliveries, unless refuse says otherwise.
type receiver struct {
	t      *testing.T
	refuse func(n int, e compute.Event) int // a status, or 0

	mu  sync.Mutex
	n   int
	got []int64
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	var d webhook.Delivery
	if err := json.Unmarshal(body, &d); err != nil {
		r.t.Error(err)
	}
	if err := webhook.Verify(secret, q.Header.Get(webhook.SignatureHeader), body, time.Now(), time.Hour); err != nil {
		r.t.Error(err)
	}
	if q.Header.Get(webhook.EventHeader) != d.Event.Kind || q.Header.Get(webhook.DeliveryHeader) != d.ID ||
		d.ID != fmt.Sprint("inst-", d.Event.ID) {
		r.t.Errorf("%v of %+v", q.Header, d)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if r.refuse != nil {
		if status := r.refuse(r.n, d.Event); status != 0 {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
			w.WriteHeader(status)
			return
		}
	}
	r.got = append(r.got, d.Event.ID)
}

func (r *receiver) seen() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) hook(name string) webhook.Hook {
	srv := httptest.NewServer(r)
	r.t.Cleanup(srv.Close)
	return webhook.Hook{
		Name: name, URL: srv.URL + "/hook?token=hidden",
		Secret: func(context.Context) (string, error) { return secret, nil },
	}
}

// run delivers until the test, or end, ends it.
func run(t *testing.T, j *journal, leads func() bool, hooks ...webhook.Hook) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s := webhook.New(webhook.Options{
		Hooks: hooks, Journal: j, Installation: "inst", Leads: leads, Look: time.Millisecond,
		Pause: func(int) time.Duration { return 2 * time.Millisecond },
	})
	go func() { s.Run(ctx); close(done) }()
	end = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(end)
	return end
}

// until waits until something is so.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("not within a minute: " + what)
		}
	}
}

func begun(t *testing.T, j *journal, names ...string) {
	for _, n := range names {
		until(t, "it begins", func() bool { _, err := j.Position(context.Background(), n); return err == nil })
	}
}

func numbers(from, to int64) (out []int64) {
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

// TestOrder: a new hook hears what happens from then on, in order and once, what it asks for alone.
func TestOrder(t *testing.T) {
	j := &journal{}
	j.add(5, "leased", "web")
	all, few := &receiver{t: t}, &receiver{t: t}
	some := few.hook("some")
	some.Events, some.Sources = []string{"rel*", "paused"}, []string{"w?b"}
	run(t, j, nil, all.hook("all"), some)
	begun(t, j, "all", "some")
	j.add(700, "leased", "web")   // 6..705
	j.add(2, "released", "web")   // 706, 707
	j.add(2, "released", "other") // 708, 709
	until(t, "all are told", func() bool { return len(all.seen()) == 704 && len(few.seen()) == 2 })
	if got := all.seen(); !slices.Equal(got, numbers(6, 709)) {
		t.Errorf("not in order: %v", got)
	}
	if got := few.seen(); !slices.Equal(got, []int64{706, 707}) {
		t.Errorf("got = %v; want got == []int64{706, 707}", got)
	}
	until(t, "the position is kept", func() bool {
		p, _ := j.Position(context.Background(), "all")
		return p.After == 709 && p.Delivered == 704
	})
}

// TestRetry: a receiver that refuses is asked again until it takes the event, what follows waits,
// and its state is told.
func TestRetry(t *testing.T) {
	j := &journal{}
	up := false
	r := &receiver{t: t}
	r.refuse = func(n int, e compute.Event) int {
		switch {
		case up:
			return 0
		case n%2 == 0:
			return http.StatusFound
		}
		return http.StatusInternalServerError
	}
	run(t, j, nil, r.hook("h"))
	begun(t, j, "h")
	j.add(3, "leased", "web")
	until(t, "it has failed", func() bool { p, _ := j.Position(context.Background(), "h"); return p.Failures > 5 })
	p, _ := j.Position(context.Background(), "h")
	if p.After != 0 || p.Since.IsZero() || p.Retry.IsZero() || !strings.HasPrefix(p.Error, "it answers ") ||
		strings.Contains(p.Error, "hidden") {
		t.Errorf(
			"p = %+v"+
				"; want p.After == 0 and !p.Since.IsZero() and !p.Retry.IsZero() and "+
				`strings.HasPrefix(p.Error, "it answers ") and p.Error without "hidden"`,
			p,
		)
	}
	if len(r.seen()) > 0 {
		t.Error("it took what it refused")
	}
	r.mu.Lock()
	up = true
	r.mu.Unlock()
	until(t, "all are told", func() bool { return len(r.seen()) == 3 })
	until(t, "its state is good", func() bool {
		p, _ := j.Position(context.Background(), "h")
		return p.After == 3 && p.Failures == 0 && p.Error == "" && p.Retry.IsZero()
	})
	if !slices.Equal(r.seen(), numbers(1, 3)) {
		t.Error(r.seen())
	}
}

// TestRestart ends the sender at any moment, again and again: nothing is lost, nothing comes out of
// order but what is repeated.
func TestRestart(t *testing.T) {
	const total = 400
	j := &journal{at: map[string]webhook.Position{"h": {}}}
	j.add(total, "leased", "web")
	r := &receiver{t: t}
	h := r.hook("h")
	for range 1000 {
		if p, _ := j.Position(context.Background(), "h"); p.After == total {
			break
		}
		before := len(r.seen())
		end := run(t, j, nil, h)
		until(t, "some are told", func() bool { return len(r.seen()) > before })
		end()
	}
	last := int64(0)
	for _, id := range r.seen() {
		if id > last+1 {
			t.Fatalf("after %d comes %d", last, id)
		}
		last = max(last, id)
	}
	if last != total {
		t.Errorf("%d of %d were told", last, total)
	}
}

// TestDead: one receiver hangs, one is not there, one redirects; the others hear all, and nothing
// piles up.
func TestDead(t *testing.T) {
	j := &journal{}
	free := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		select {
		case <-q.Context().Done():
		case <-free:
		}
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(free) })
	good := &receiver{t: t}
	hangs, absent := good.hook("hangs"), good.hook("absent")
	hangs.URL, hangs.Timeout = srv.URL, time.Hour
	absent.URL = "http://127.0.0.1:1/"
	run(t, j, nil, hangs, absent, good.hook("good"))
	begun(t, j, "hangs", "absent", "good")
	before := runtime.NumGoroutine()
	j.add(1000, "leased", "web")
	until(t, "the good one has all", func() bool { return len(good.seen()) == 1000 })
	if after := runtime.NumGoroutine(); after > before+20 {
		t.Errorf("%d goroutines, and %d before", after, before)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.most > 200 {
		t.Errorf("%d events were read at once", j.most)
	}
}

// TestLeads: who does not lead delivers nothing, and who begins to goes on where the other one
// ended.
func TestLeads(t *testing.T) {
	j := &journal{at: map[string]webhook.Position{"h": {}}}
	j.add(50, "leased", "web")
	r := &receiver{t: t}
	h := r.hook("h")
	var mu sync.Mutex
	who := 1
	leads := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return who == n }
	}
	run(t, j, leads(1), h)
	run(t, j, leads(2), h)
	until(t, "the first delivers", func() bool { return len(r.seen()) >= 50 })
	until(t, "and keeps that", func() bool { p, _ := j.Position(context.Background(), "h"); return p.After == 50 })
	mu.Lock()
	who = 2
	mu.Unlock()
	j.add(50, "leased", "web")
	until(t, "the other goes on", func() bool { p, _ := j.Position(context.Background(), "h"); return p.After == 100 })
	if got := r.seen(); !slices.Equal(got, numbers(1, 100)) {
		t.Errorf("got = %v; want got == numbers(1, 100)", got)
	}
}

// TestSkip: what a receiver never takes is given up when somebody says so.
func TestSkip(t *testing.T) {
	j := &journal{at: map[string]webhook.Position{"h": {Delivered: 7}}}
	r := &receiver{t: t, refuse: func(_ int, e compute.Event) int {
		if e.ID <= 3 {
			return http.StatusBadRequest
		}
		return 0
	}}
	h := r.hook("h")
	j.add(3, "leased", "web")
	run(t, j, nil, h)
	until(t, "it is refused", func() bool { p, _ := j.Position(context.Background(), "h"); return p.Failures > 2 })
	if err := webhook.New(webhook.Options{Journal: j}).Skip(context.Background(), "h"); err != nil {
		t.Fatal(err)
	}
	j.add(2, "leased", "web")
	until(t, "it goes on", func() bool { return slices.Equal(r.seen(), []int64{4, 5}) })
}

func TestTest(t *testing.T) {
	var got webhook.Delivery
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		_ = json.Unmarshal(body, &got)
		if webhook.Verify(secret, q.Header.Get(webhook.SignatureHeader), body, time.Now(), time.Hour) != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer srv.Close()
	s := webhook.New(webhook.Options{Journal: &journal{}, Installation: "inst"})
	h := webhook.Hook{Name: "h", URL: srv.URL, Secret: func(context.Context) (string, error) { return secret, nil }}
	if status, _, err := s.Test(context.Background(), h); err != nil || status != 200 || !got.Test || got.Event.Kind != "test" {
		t.Errorf(
			"status = %d, err = %v, got = %+v"+
				`; want no error and status == 200 and got.Test and got.Event.Kind == "test"`,
			status, err, got,
		)
	}
	h.Secret = func(context.Context) (string, error) { return "another, also long enough", nil }
	if status, _, err := s.Test(context.Background(), h); err == nil || status != 401 {
		t.Errorf("status = %d, err = %v; want an error and status == 401", status, err)
	}
	h.Secret = func(context.Context) (string, error) { return "", errors.New("there is none") }
	if _, _, err := s.Test(context.Background(), h); err == nil {
		t.Error("it went without a secret")
	}
}

func TestVerify(t *testing.T) {
	at, body := time.Unix(1700000000, 0), []byte(`{"id":"x"}`)
	sig := webhook.Sign(secret, at, body)
	// printf '1700000000.{"id":"x"}' | openssl dgst -sha256 -hmac "a secret of some length"
	if want := "t=1700000000,v1=c66fa952f80cc32dab28c40ad8063c7c1be634efff7001a4bd8baa1fe3ebb043"; sig != want {
		t.Errorf("sig = %q; want sig == want", sig)
	}
	for name, c := range map[string]struct {
		secret, sig string
		body        []byte
		now         time.Time
		ok          bool
	}{
		"good":            {secret, sig, body, at.Add(time.Minute), true},
		"another secret":  {secret + "x", sig, body, at, false},
		"another body":    {secret, sig, bytes.ToUpper(body), at, false},
		"another time":    {secret, strings.Replace(sig, "t=17", "t=18", 1), body, at, false},
		"long ago":        {secret, sig, body, at.Add(time.Hour), false},
		"in the future":   {secret, sig, body, at.Add(-time.Hour), false},
		"nothing":         {secret, "", body, at, false},
		"no time":         {secret, sig[len("t=1700000000,"):], body, at, false},
		"no hexadecimals": {secret, "t=1700000000,v1=zz", body, at, false},
	} {
		if err := webhook.Verify(c.secret, c.sig, c.body, c.now, 5*time.Minute); (err == nil) != c.ok {
			t.Errorf("%s: err = %v; want (err == nil) == c.ok", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://a.example/x?token=y": true, "http://127.0.0.1:80/": true, "http://localhost/": true,
		"http://[::1]/": true, "http://a.example/": false, "http://10.0.0.1/": false,
		"ftp://a.example/": false, "a.example": false, "": false, "https://": false,
	} {
		h := webhook.Hook{URL: url}
		if err := h.Check(); (err == nil) != ok {
			t.Errorf("%q: err = %v; want (err == nil) == ok", url, err)
		} else if err != nil && strings.Contains(err.Error(), "token") {
			t.Errorf(`%q: err = %v; want no error or err.Error() without "token"`, url, err)
		}
	}
	h := webhook.Hook{URL: "http://a.example/x", Plain: true}
	if err := h.Check(); err != nil {
		t.Error(err)
	}
	h.Events = []string{"["}
	if h.Check() == nil {
		t.Error("a pattern that is none")
	}
	h.URL = "https://user:pw@a.example/x?token=y#z"
	if got := h.Where(); got != "https://a.example/x" {
		t.Error(got)
	}
	h.Hidden = true
	if got := h.Where(); got != "https://a.example/..." {
		t.Errorf("where its path is a secret: %q", got)
	}
}

// TestKinds: each kind of event that the engine writes down can be asked for, and no other.
func TestKinds(t *testing.T) {
	files, err := filepath.Glob("../../pool/*.go")
	below, err2 := filepath.Glob("../../pool/*/*.go")
	if files = append(files, below...); errors.Join(err, err2) != nil || len(below) == 0 {
		t.Fatalf("files = %v, err = %v; want no error and len(files) != 0", files, errors.Join(err, err2))
	}
	said := regexp.MustCompile(`(?:Event\{[^}\n]*Kind: |const Canceled = )"([a-z-]+)"`)
	found := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range said.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
			if !strings.HasSuffix(name, "_test.go") && !slices.Contains(webhook.Kinds(), m[1]) {
				t.Errorf("%s writes down %q, which is not among webhook.Kinds", name, m[1])
			}
		}
	}
	if !found["unqueued"] || len(found) < 10 {
		t.Errorf("the engine's events were not found: %v", found)
	}
	secret := func(context.Context) (string, error) { return "", nil }
	for pattern, ok := range map[string]bool{
		"leased": true, "*-failed": true, "*": true, "relesed": false, "create-failed": false, "x*": false,
	} {
		h := webhook.Hook{Name: "x", URL: "https://example.org", Secret: secret, Events: []string{pattern}}
		if err := h.Check(); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), pattern) {
			t.Errorf("%s: err = %v; want (err == nil) == ok and (no error or err.Error() with pattern)", pattern, err)
		}
	}
}

// rebinding is a resolver by whose answers a receiver's name leads to this machine first, and then
// to a metadata service.
type rebinding struct{ asked atomic.Int32 }

func (r *rebinding) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if r.asked.Add(1) == 1 {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
}

// TestGuard: a receiver is where the operator says, on this machine too. Its name does not lead to
// metadata, and its redirects lead nowhere.
func TestGuard(t *testing.T) {
	var taken, reached atomic.Int32
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer inner.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, inner.URL, http.StatusTemporaryRedirect)
			return
		}
		taken.Add(1)
		w.Header().Set("Connection", "close")
	}))
	defer srv.Close()
	said := func(context.Context) (string, error) { return secret, nil }
	hook := webhook.Hook{Name: "h", URL: strings.Replace(srv.URL, "127.0.0.1", "receiver.example", 1), Secret: said, Plain: true}
	away := webhook.Hook{Name: "away", URL: srv.URL + "/away", Secret: said}
	s := webhook.New(webhook.Options{Hooks: []webhook.Hook{hook, away}, Journal: &journal{}, Guard: fetch.New(fetch.Options{Resolver: &rebinding{}, Dial: func(
		ctx context.Context, network, address string,
	) (net.Conn, error) {
		if strings.HasPrefix(address, "169.") {
			reached.Add(1)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}})})
	if _, _, err := s.Test(t.Context(), hook); err != nil || taken.Load() != 1 {
		t.Errorf("taken.Load() = %v, err = %v; want no error and taken.Load() == 1", taken.Load(), err)
	}
	if _, _, err := s.Test(t.Context(), hook); !errors.As(err, new(*fetch.Refused)) {
		t.Error(err)
	}
	if _, _, err := s.Test(t.Context(), away); err == nil {
		t.Error("a redirect is followed")
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d reached", n)
	}
}
