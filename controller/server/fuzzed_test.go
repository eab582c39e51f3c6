package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
)

// schema is as much of a JSON schema as requests need.
type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Properties map[string]*schema
	Required   []string
	Items      *schema
	Enum       []any
	Additional any `json:"additionalProperties"`
}

type parameter struct {
	Name, In string
	Schema   *schema
}

type call struct {
	ID          string `json:"operationId"`
	Parameters  []parameter
	RequestBody struct {
		Content map[string]struct{ Schema *schema }
	}
	path, method string
}

type description struct {
	Paths      map[string]map[string]*call
	Components struct{ Schemas map[string]*schema }
}

// described are the operations of a controller's own description.
func described(t *testing.T, url string) (ops []*call, doc description) {
	t.Helper()
	if s := ask(t, url+"/openapi.json", &doc); s != 200 {
		t.Fatal(s)
	}
	for path, methods := range doc.Paths {
		for method, o := range methods {
			o.path, o.method = path, strings.ToUpper(method)
			ops = append(ops, o)
		}
	}
	slices.SortFunc(ops, func(a, b *call) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return ops, doc
}

// author writes requests: mostly good ones with something wrong in them.
type author struct {
	*rand.Rand
	doc   description
	names []string // that mean something
}

var oddities = []string{"", " ", ".", "..", "../../etc/passwd", "%00", "\x00", "a\nb", "é", "\xff\xfe", "web", "WEB",
	"0", "-1", "1e999", "null", "true", "NaN", "{}", "[]", "'; DROP TABLE leases; --",
	"<script>", "99999999999999999999", strings.Repeat("a", 5000), "web-1", "%", "%2e%2e%2f", "🦄", "\u202e", "=cmd", "a,b,,c"}

func (a author) word() string {
	if a.IntN(2) == 0 {
		return a.names[a.IntN(len(a.names))]
	}
	return oddities[a.IntN(len(oddities))]
}

// odd is a value of no type in particular.
func (a author) odd(depth int) any {
	switch n := a.IntN(12); {
	case n == 0:
		return nil
	case n == 1:
		return a.IntN(2) == 0
	case n == 2:
		return -a.IntN(1000)
	case n == 3:
		return []any{math.MaxInt64, 1e300, -1e300, 0.1, 1e19}[a.IntN(5)]
	case n == 4 && depth < 4:
		return []any{a.odd(depth + 1), a.odd(depth + 1)}
	case n == 5 && depth < 4:
		return map[string]any{a.word(): a.odd(depth + 1)}
	}
	return a.word()
}

// value is one of a schema; every sixth is an odd one.
func (a author) value(s *schema, name string, depth int) any {
	if s == nil || depth > 8 || a.IntN(6) == 0 {
		return a.odd(depth)
	}
	if s.Ref != "" {
		return a.value(a.doc.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]], name, depth+1)
	}
	if len(s.Enum) > 0 {
		return s.Enum[a.IntN(len(s.Enum))]
	}
	typ, _ := s.Type.(string)
	if all, ok := s.Type.([]any); ok && len(all) > 0 {
		typ, _ = all[a.IntN(len(all))].(string)
	}
	switch typ {
	case "object":
		out := map[string]any{}
		for key, p := range s.Properties {
			if slices.Contains(s.Required, key) && a.IntN(10) > 0 || a.IntN(3) == 0 {
				out[key] = a.value(p, key, depth+1)
			}
		}
		if s.Additional != nil && s.Additional != false {
			out[a.word()] = a.word()
		} else if a.IntN(12) == 0 {
			out["unknown"] = a.odd(depth)
		}
		return out
	case "array":
		out := []any{}
		for range a.IntN(4) {
			out = append(out, a.value(s.Items, name, depth+1))
		}
		return out
	case "integer", "number":
		if name == "wait" {
			return 0 // else we should wait
		}
		return a.IntN(5) - 1
	case "boolean":
		return a.IntN(2) == 0
	case "null":
		return nil
	}
	return a.word()
}

// body is a request's, and what it says it is.
func (a author) body(o *call) (text []byte, typ string) {
	typ = "application/json"
	content, ok := o.RequestBody.Content[typ]
	if !ok {
		if a.IntN(4) > 0 {
			return nil, ""
		}
		return []byte(`{"a": 1}`), typ
	}
	text, _ = json.Marshal(a.value(content.Schema, "", 0))
	switch a.IntN(16) {
	case 0: // in the middle it is over
		text = text[:a.IntN(len(text)+1)]
	case 1:
		if len(text) > 0 {
			text[a.IntN(len(text))] = byte(a.IntN(256))
		}
	case 2:
		text = bytes.Repeat([]byte("["), 1<<uint(a.IntN(18)))
	case 3:
		text = []byte(strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000))
	case 4:
		text = append(text, text...)
	case 5:
		text = []byte(`{"source": "` + strings.Repeat("x", 2<<20) + `"}`)
	case 6:
		typ = []string{
			"", "text/plain", "application/xml", "application/cbor", "multipart/form-data; boundary=x",
			"application/json; charset=utf-16", "a/b/c", ";;;",
		}[a.IntN(8)]
	case 7:
		text = nil
	case 8:
		text = []byte(`{"source":"web","source":"none","count":0,"count":1}`)
	}
	return text, typ
}

// request is one of an call.
func (a author) request(t *testing.T, ctx context.Context, base string, o *call) *http.Request {
	path, query := o.path, url.Values{}
	for _, p := range o.Parameters {
		switch p.In {
		case "path":
			w := a.word()
			if w == "" || w == "." || w == ".." {
				w = "web-1"
			}
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(w))
		case "query":
			if a.IntN(3) == 0 {
				for range 1 + a.IntN(2) {
					query.Add(p.Name, fmt.Sprint(a.value(p.Schema, p.Name, 0)))
				}
			}
		}
	}
	if a.IntN(20) == 0 {
		query.Add(a.word(), a.word())
	}
	text, typ := a.body(o)
	method := o.method
	if a.IntN(25) == 0 {
		method = []string{"PUT", "PATCH", "HEAD", "OPTIONS", "POST", "DELETE", "TRACE", "ODD"}[a.IntN(8)]
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path+"?"+query.Encode(), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+[]string{"root", "ann", "bob"}[a.IntN(3)])
	if typ != "" {
		r.Header.Set("Content-Type", typ)
	}
	if strings.HasSuffix(o.path, "/connect") || strings.HasSuffix(o.path, "/terminal") {
		for h, good := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket",
			"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
			"Origin": "https://elsewhere.example"} {
			switch a.IntN(6) {
			case 0:
				r.Header.Set(h, "odd")
			case 1:
			default:
				r.Header.Set(h, good)
			}
		}
	}
	for _, h := range []string{"Accept", "Last-Event-ID", "Idempotency-Key", "If-Match", "Range", "Content-Encoding"} {
		if a.IntN(20) == 0 {
			r.Header.Set(h, strings.Map(func(c rune) rune {
				if c < ' ' || c > '~' {
					return -1
				}
				return c
			}, a.word()))
		}
	}
	return r
}

// state is what a refused request may not change.
func state(t *testing.T, p *pool.Pool) string {
	t.Helper()
	is, err := p.Instances(t.Context(), inventory.InstanceQuery{})
	ls, err2 := p.Leases(t.Context(), inventory.LeaseQuery{})
	if err != nil || err2 != nil {
		t.Fatalf("err = %v, err2 = %v; want no error and err2 == nil", err, err2)
	}
	var b strings.Builder
	for _, i := range is {
		fmt.Fprintln(&b, i.ID, i.State, i.Generation)
	}
	for _, l := range ls {
		fmt.Fprintln(&b, l.ID, l.Owner, l.Name, l.TTL, l.Expires)
	}
	return b.String()
}

// TestFuzzed: requests that are made up from our own description, most of them wrong somewhere, are
// answered by what is no fault of ours, as problems, and those that are refused change nothing.
// HOSTLER_FUZZ says how many, HOSTLER_SEED which.
func TestFuzzed(t *testing.T) {
	p := engine(t)
	srv := httptest.NewServer(server.New(server.Options{
		Engine:   func() server.Engine { return whole(p) },
		Version:  "test",
		Identity: func() api.Identity { return api.Identity{} },
		Callers:  server.Callers{Authenticate: authenticate},
		Lifecycle: server.Lifecycle{
			Ready: func(context.Context) error { return nil }, Work: func(context.Context) error { return nil },
			Reload: func(context.Context) (api.Reloaded, error) { return api.Reloaded{}, nil },
		},
	}))
	t.Cleanup(srv.Close)
	base := srv.URL
	ops, doc := described(t, base)
	count, seed := 1000, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("HOSTLER_FUZZ")); err == nil {
		count = n
	}
	if n, err := strconv.ParseUint(os.Getenv("HOSTLER_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("HOSTLER_SEED=%d", seed)
	a := author{rand.New(rand.NewPCG(seed, 1)), doc, []string{"web", "web-1", "web-2", "web-7", "build", "ann", "bob"}}
	tried := map[string]int{}
	refused := 0
	for n := range count {
		o := ops[a.IntN(len(ops))]
		if n < 3*len(ops) {
			o = ops[n%len(ops)]
		}
		before := state(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if strings.Contains(o.ID, "watch") {
			cancel()
			ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond) // it has no end
		}
		r := a.request(t, ctx, base, o)
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			if ctx.Err() != nil && (strings.Contains(o.ID, "watch") || strings.Contains(o.ID, "acquire")) ||
				strings.Contains(err.Error(), "invalid header") {
				cancel()
				continue
			}
			cancel()
			t.Fatalf("%d: r.Method = %s r.URL = %s: err = %v; want no error", n, r.Method, r.URL, err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		cancel()
		tried[o.ID]++
		said := fmt.Sprintf(
			"request %d of seed %d, %s %s (%s): %s, %s\n%.400q", n, seed, r.Method, r.URL, o.ID, answer.Status,
			answer.Header.Get("Content-Type"), text,
		)
		if answer.StatusCode >= 500 && o.ID != "plan" && o.ID != "history" { // there are none here
			t.Errorf("our fault: %s", said)
		}
		if answer.StatusCode >= 400 {
			refused++
			var problem struct {
				Code, Detail string
				Status       int
			}
			switch {
			case r.Method == http.MethodHead || o.ID == "login-callback":
				// which is a page, for a browser
			case answer.Header.Get("Content-Type") != "application/problem+json" ||
				json.Unmarshal(text, &problem) != nil || problem.Code == "" || problem.Detail == "" ||
				problem.Status != answer.StatusCode:
				t.Errorf("no problem: %s", said)
			}
			if after := state(t, p); after != before {
				t.Errorf("refused, and it changed something: %s\nbefore\n%s\nafter\n%s", said, before, after)
			}
		}
	}
	if len(tried) != len(ops) && count >= 3*len(ops) {
		t.Errorf("%d of %d operations were tried", len(tried), len(ops))
	}
	if refused < count/4 || refused == count {
		t.Errorf("%d of %d were refused: they are all alike", refused, count)
	}
}
