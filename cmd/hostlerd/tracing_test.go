package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// traceSpan is a span as a collector of OpenTelemetry gets it.
type traceSpan struct {
	TraceID, SpanID, ParentSpanID, Name string
	Kind                                int
	Attributes                          []struct {
		Key   string
		Value struct{ StringValue, IntValue string }
	}
	Status struct {
		Code    int
		Message string
	}
	from string // the process: a service has several
}

// traceCollector takes OTLP over HTTP.
type traceCollector struct {
	t   *testing.T
	url string

	mu  sync.Mutex
	all []traceSpan
}

func newTraceCollector(t *testing.T) *traceCollector {
	c := &traceCollector{t: t}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func (c *traceCollector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var got struct {
		ResourceSpans []struct {
			Resource struct {
				Attributes []struct {
					Key   string
					Value struct{ StringValue string }
				}
			}
			ScopeSpans []struct{ Spans []traceSpan }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.URL.Path != "/v1/traces" {
		c.t.Errorf("%s: %v", r.URL, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range got.ResourceSpans {
		name := ""
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" {
				name = a.Value.StringValue
			}
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				s.from = name
				c.all = append(c.all, s)
			}
		}
	}
}

// paths are the spans of a trace, each with those above it, up to the one whose parent nobody sent.
func (c *traceCollector) paths(trace string) (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by := map[string]traceSpan{}
	for _, s := range c.all {
		if s.TraceID == trace {
			by[s.SpanID] = s
		}
	}
	for _, s := range by {
		path := s.Name
		for up, ok := by[s.ParentSpanID]; ok; up, ok = by[up.ParentSpanID] {
			path = up.Name + " > " + path
		}
		out = append(out, path)
	}
	return out
}

const (
	traceID  = "0af7651916cd43dd8448eb211c80319c"
	parentID = "b7ad6b7169203331"
)

// TestTraces follows one command through all that takes part, embedded and with a controller: one
// trace, each span below the one that it is a part of.
func TestTraces(t *testing.T) {
	make := []string{
		"acquire > create", "acquire > create > provider create", "acquire > connect",
		"acquire > connect > provider connect", "acquire > set-up", "acquire > set-up > hooks",
	}
	for _, served := range []bool{false, true} {
		t.Run(fmt.Sprint(served), func(t *testing.T) {
			c := newTraceCollector(t)
			o := newYard(
				t, outsideSources, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.url, "OTEL_SERVICE_NAME=ours",
				"OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_TRACES_EXPORTER=", "OTEL_SDK_DISABLED=",
			)
			at := []string{"hostler run > "}
			want := []string{"hostler run", "hostler run > run"}
			if served {
				k := o.Serve("--no-fill")
				defer k.Stop()
				at = []string{"hostler run > POST /v1/leases > "}
				want = append(
					want, "hostler run > POST /v1/leases", "hostler run > GET /v1/instances/{name}/connect",
					"hostler run > GET /v1/instances/{name}/connect > run",
				)
			}
			for _, m := range make {
				want = append(want, at[0]+m)
			}
			o.vars = append(o.vars, "TRACEPARENT=00-"+traceID+"-"+parentID+"-01")
			o.run("run", "hooked", "--", "true")
			waitFor(t, "all spans have come", func() bool {
				got := " " + strings.Join(c.paths(traceID), "\n ") + "\n"
				for _, w := range want {
					if !strings.Contains(got, " "+w+"\n") {
						return false
					}
				}
				return true
			})
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, s := range c.all {
				if s.from != "ours" {
					t.Errorf("%s is from %q", s.Name, s.from)
				}
				if s.Name == "hostler run" && (s.ParentSpanID != parentID || s.Status.Code != 0) {
					t.Errorf(`s = %+v; want s.Name != "hostler run" or s.ParentSpanID == parentID and s.Status.Code == 0`, s)
				}
				if strings.HasPrefix(s.Name, "GET ") && s.Kind != 2 || strings.HasPrefix(s.Name, "provider ") && s.Kind != 3 {
					t.Errorf(
						"s = %+v"+
							`; want (!strings.HasPrefix(s.Name, "GET ") or s.Kind == 2) and `+
							`(!strings.HasPrefix(s.Name, "provider ") or s.Kind == 3)`,
						s,
					)
				}
			}
		})
	}
}

// TestTracesFail: what failed is marked, and a command waits for nobody who does not answer.
func TestTracesFail(t *testing.T) {
	c := newTraceCollector(t)
	o := newYard(t, outsideSources, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.url, "TRACEPARENT=")
	o.Fail("acquire", "-s", "bad")
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := map[string]bool{}
	for _, s := range c.all {
		failed[s.Name] = s.Status.Code == 2 && s.Status.Message != ""
	}
	for _, name := range []string{"hostler acquire", "acquire", "create", "provider create"} {
		if !failed[name] {
			t.Errorf("%s did not fail: %v", name, failed)
		}
	}
	o.vars = append(o.vars, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")
	o.run("status")
	o.vars = append(o.vars, "OTEL_EXPORTER_OTLP_ENDPOINT=nonsense")
	if out := o.run("status"); !strings.Contains(out, "no traces: OTEL_EXPORTER_OTLP_ENDPOINT") {
		t.Errorf("nobody is told: %s", out)
	}
}
