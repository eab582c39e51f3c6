package otlp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/observe/trace/otlp"
)

// received is a request as opentelemetry/proto/collector/trace/v1 has it in JSON. What is not in it
// is an error.
type received struct {
	ResourceSpans []struct {
		Resource struct {
			Attributes []attribute `json:"attributes"`
		} `json:"resource"`
		ScopeSpans []struct {
			Scope struct{ Name, Version string }
			Spans []span `json:"spans"`
		} `json:"scopeSpans"`
	} `json:"resourceSpans"`
}

type span struct {
	TraceID           string      `json:"traceId"`
	SpanID            string      `json:"spanId"`
	TraceState        string      `json:"traceState"`
	ParentSpanID      string      `json:"parentSpanId"`
	Flags             uint32      `json:"flags"`
	Name              string      `json:"name"`
	Kind              int         `json:"kind"`
	StartTimeUnixNano string      `json:"startTimeUnixNano"`
	EndTimeUnixNano   string      `json:"endTimeUnixNano"`
	Attributes        []attribute `json:"attributes"`
	Status            struct {
		Message string `json:"message"`
		Code    int    `json:"code"`
	} `json:"status"`
}

type attribute struct {
	Key   string
	Value struct {
		StringValue *string  `json:"stringValue"`
		BoolValue   *bool    `json:"boolValue"`
		IntValue    *string  `json:"intValue"`
		DoubleValue *float64 `json:"doubleValue"`
	}
}

// collector takes spans; answer says how, nil: well.
type collector struct {
	t      *testing.T
	answer func(n int, w http.ResponseWriter) bool

	mu    sync.Mutex
	n     int
	heads []http.Header
	all   []received
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.answer != nil && !c.answer(c.n, w) {
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
		c.t.Errorf("%s %s of %s", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			c.t.Error(err)
			return
		}
		body = z
	}
	text, _ := io.ReadAll(body)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var got received
	if err := d.Decode(&got); err != nil {
		c.t.Errorf("%v: %s", err, text)
	}
	c.heads, c.all = append(c.heads, r.Header), append(c.all, got)
	_, _ = w.Write([]byte("{}"))
}

func (c *collector) spans() (out []span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.all {
		for _, rs := range r.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				out = append(out, ss.Spans...)
			}
		}
	}
	return out
}

func open(t *testing.T, c *collector, env map[string]string) *otlp.Exporter {
	t.Helper()
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	o, ok, err := otlp.FromEnv(func(name string) string {
		if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
			return srv.URL + "/"
		}
		return env[name]
	})
	if err != nil || !ok {
		t.Fatalf("ok = %v, err = %v; want no error and ok", ok, err)
	}
	o.Pause = func(int) time.Duration { return time.Millisecond }
	return otlp.New(o)
}

func TestDocument(t *testing.T) {
	c := &collector{t: t}
	e := open(t, c, map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b, x=y", "OTEL_SERVICE_NAME": "ours",
		"OTEL_RESOURCE_ATTRIBUTES":       "zone=z,service.name=not",
		"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"})
	ctx, whole := trace.StartKind(trace.WithParent(
		context.Background(), e.Tracer(), trace.SpanContext{Trace: [16]byte{1}, Span: [8]byte{2}, Sampled: true}, "k=v",
	), trace.Server, "whole",
		trace.Attr{Key: "s", Value: "text"}, trace.Attr{Key: "b", Value: false}, trace.Attr{Key: "i", Value: int64(math.MaxInt64)}, trace.Attr{Key: "n", Value: 0},
		trace.Attr{Key: "d", Value: 0.5}, trace.Attr{Key: "nan", Value: math.NaN()}, trace.Attr{Key: "other", Value: time.Second})
	_, part := trace.Start(ctx, "part")
	part.End(errors.New("no \"capacity\""))
	whole.End(nil)
	if err := e.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := c.spans()
	if len(got) != 2 || c.n != 1 {
		t.Fatalf("%d spans in %d requests", len(got), c.n)
	}
	p, w := got[0], got[1]
	if w.TraceID != hex.EncodeToString([]byte{1})+strings.Repeat("0", 30) || w.ParentSpanID != "0200000000000000" ||
		p.ParentSpanID != w.SpanID || p.TraceID != w.TraceID || len(p.SpanID) != 16 {
		t.Errorf("ids: %+v", got)
	}
	if w.Kind != 2 || p.Kind != 1 || w.TraceState != "k=v" || w.Flags&1 != 1 || p.Status.Code != 2 ||
		p.Status.Message != "no \"capacity\"" || w.Status.Code != 0 {
		t.Errorf("got = %+v", got)
	}
	begin, err := strconv.ParseInt(w.StartTimeUnixNano, 10, 64)
	end, err2 := strconv.ParseInt(w.EndTimeUnixNano, 10, 64)
	if err != nil || err2 != nil || end < begin || time.Since(time.Unix(0, begin)) > time.Hour {
		t.Errorf("times: %+v", w)
	}
	var values []string
	for _, a := range w.Attributes {
		v := a.Value
		switch {
		case v.StringValue != nil:
			values = append(values, a.Key+"=s:"+*v.StringValue)
		case v.BoolValue != nil:
			values = append(values, a.Key+"=b:"+strconv.FormatBool(*v.BoolValue))
		case v.IntValue != nil:
			values = append(values, a.Key+"=i:"+*v.IntValue)
		case v.DoubleValue != nil:
			values = append(values, a.Key+"=d:"+strconv.FormatFloat(*v.DoubleValue, 'g', -1, 64))
		}
	}
	if want := []string{
		"s=s:text", "b=b:false", "i=i:9223372036854775807", "n=i:0", "d=d:0.5", "nan=s:NaN", "other=s:1s",
	}; !slices.Equal(values, want) {
		t.Errorf("attributes: %q", values)
	}
	from := c.all[0].ResourceSpans[0].Resource.Attributes
	if len(from) != 2 || from[0].Key != "service.name" || *from[0].Value.StringValue != "ours" || *from[1].Value.StringValue != "z" {
		t.Errorf("resource: %+v", from)
	}
	if h := c.heads[0]; h.Get("Api-Key") != "a b" || h.Get("X") != "y" {
		t.Errorf("headers: %v", h)
	}
}

// TestTries has the receiver refuse: what may be taken later is sent again, what cannot be taken is
// not, and what comes after it is.
func TestTries(t *testing.T) {
	c := &collector{t: t, answer: func(n int, w http.ResponseWriter) bool {
		switch n {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			w.WriteHeader(http.StatusTooManyRequests)
		case 4:
			w.WriteHeader(http.StatusBadRequest)
		default:
			return true
		}
		return false
	}}
	e := open(t, c, nil)
	send := func(name string) error {
		_, s := trace.Start(trace.With(context.Background(), e.Tracer()), name)
		s.End(nil)
		return e.Flush(context.Background())
	}
	if err := send("first"); err != nil {
		t.Error(err)
	}
	if err := send("refused"); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf(`err = %v; want an error and err.Error() with "400"`, err)
	}
	if err := send("last"); err != nil {
		t.Error(err)
	}
	var names []string
	for _, s := range c.spans() {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"first", "last"}) || c.n != 5 {
		t.Errorf("%q in %d requests", names, c.n)
	}
}

// TestFull has nobody take what is sent: who makes spans does not wait, and the memory does not
// fill.
func TestFull(t *testing.T) {
	e := otlp.New(otlp.Options{URL: "http://127.0.0.1:1/v1/traces", Queue: 10, Pause: func(int) time.Duration { return time.Hour }})
	for range 1000 {
		_, s := trace.Start(trace.With(context.Background(), e.Tracer()), "x")
		s.End(nil)
	}
	if err := e.Flush(context.Background()); err == nil {
		t.Error("nobody is there, and it was sent")
	}
}

func TestRun(t *testing.T) {
	c := &collector{t: t}
	e := open(t, c, map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "1"})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { e.Run(ctx); close(done) }()
	for limit := time.Now().Add(time.Minute); len(c.spans()) == 0 && time.Now().Before(limit); time.Sleep(time.Millisecond) {
		_, s := trace.Start(trace.With(context.Background(), e.Tracer()), "x")
		s.End(nil)
	}
	cancel()
	<-done
	if len(c.spans()) == 0 {
		t.Error("nothing was sent in a minute")
	}
}

func TestFromEnv(t *testing.T) {
	for _, c := range []struct {
		env map[string]string
		ok  bool
		url string
		err string
	}{
		{nil, false, "", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, true, "http://c:4318/v1/traces", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/x/"}, true, "http://c:4318/x/v1/traces", ""},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://d/own"},
			true, "https://d/own", "",
		},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"}, false, "", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, false, "", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317"}, false, "", "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "", "PROTOCOL"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "secret"}, false, "", "HEADERS"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_COMPRESSION": "zip"}, false, "", "COMPRESSION"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TIMEOUT": "1s"}, false, "", "TIMEOUT"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_SAMPLER": "mine"}, false, "", "OTEL_TRACES_SAMPLER"},
		{
			map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
				"OTEL_TRACES_SAMPLER_ARG": "2",
			},
			false, "", "_ARG",
		},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere"},
			false, "", "CERTIFICATE",
		},
	} {
		o, ok, err := otlp.FromEnv(func(name string) string { return c.env[name] })
		if ok != c.ok || ok && o.URL != c.url || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf(
				"%v: ok = %v o.URL = %q err = %v"+
					`; want ok == c.ok and (!ok or o.URL == c.url) and (err == nil) == (c.err == "") and (no `+
					"error or err.Error() with c.err)",
				c.env, ok, o.URL, err,
			)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%v shows a secret", err)
		}
	}
}
