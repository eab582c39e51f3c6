package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/observe/trace"
)

// seen has a handler with options of one's own answer, and returns its URL.
func seen(t *testing.T, opt server.Options) string {
	t.Helper()
	e := engine(t)
	opt.Engine = func() server.Engine { return whole(e) }
	opt.Callers.Authenticate, opt.Identity, opt.Version = authenticate, func() api.Identity { return api.Identity{} }, "test"
	if opt.Lifecycle.Ready == nil {
		opt.Lifecycle.Ready = func(context.Context) error { return nil }
	}
	srv := httptest.NewServer(server.New(opt))
	t.Cleanup(srv.Close)
	return srv.URL
}

func status(t *testing.T, method, url string, header ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer answer.Body.Close()
	if answer.Header.Get(request.Header) == "" {
		t.Errorf("%s %s is answered without an id", method, url)
	}
	return answer.StatusCode
}

// TestObserve: each request is told of by its route, whoever makes it; names that are made up are
// not.
func TestObserve(t *testing.T) {
	var mu sync.Mutex
	var got []string
	url := seen(t, server.Options{
		Telemetry: server.Telemetry{Observe: func(method, route string, status int, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprintf("%s %s %d", method, route, status))
			if took < 0 {
				t.Errorf("%s took %v", route, took)
			}
		}},
	})
	for _, ask := range [][]string{{"GET", "/v1/sources", ""}, {"GET", "/v1/sources", "ann"},
		{"GET", "/v1/instances/web-9", "ann"}, {"GET", "/made/up", "ann"}, {"GET", "/made/up/2", ""},
		{"MADEUP", "/v1/sources", "ann"}, {"GET", "/healthz", ""}} {
		var header []string
		if ask[2] != "" {
			header = []string{"Authorization", "Bearer " + ask[2]}
		}
		status(t, ask[0], url+ask[1], header...)
	}
	want := []string{
		"GET /v1/sources 401", "GET /v1/sources 200", "GET /v1/instances/{name} 404", " none 404", " none 401",
		" none 405", "GET /healthz 200",
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(got, want) {
		t.Errorf("got = %q; want got == want", got)
	}
}

// TestMetricsRoute: metrics are for who may have them, and where there are none there is no such
// path.
func TestMetricsRoute(t *testing.T) {
	url := seen(
		t,
		server.Options{
			Telemetry: server.Telemetry{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte("up 1\n"))
			})},
		},
	)
	for who, want := range map[string]int{"": 401, "ann": 403, "root": 200} {
		var header []string
		if who != "" {
			header = []string{"Authorization", "Bearer " + who}
		}
		if got := status(t, "GET", url+"/metrics", header...); got != want {
			t.Errorf("%q: got = %d; want got == want", who, got)
		}
	}
	if got := status(t, "GET", seen(t, server.Options{})+"/metrics", "Authorization", "Bearer root"); got != 404 {
		t.Errorf("without metrics: %d", got)
	}
}

// TestSpans: a request is a span below the caller's, named for its route.
func TestSpans(t *testing.T) {
	var mu sync.Mutex
	var got []trace.EndedSpan
	url := seen(t, server.Options{
		Telemetry: server.Telemetry{Tracer: &trace.Tracer{
			Send: func(d trace.EndedSpan) { mu.Lock(); defer mu.Unlock(); got = append(got, d) },
		}},
	})
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
	status(t, "GET", url+"/v1/instances/x", "Authorization", "Bearer ann", "Traceparent", parent+"01", "Tracestate", "k=v")
	// whoever asks wants no trace
	status(t, "GET", url+"/v1/instances/x", "Authorization", "Bearer ann", "Traceparent", parent+"00")
	status(t, "GET", url+"/v1/instances/x", "Authorization", "Bearer ann", "Traceparent", "nonsense")
	status(t, "GET", url+"/healthz", "Traceparent", parent+"01")
	status(t, "GET", url+"/made/up", "Traceparent", parent+"01")
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 2 {
		t.Fatalf("got = %+v; want len(got) == 2", got)
	}
	if d := got[0]; d.Name != "GET /v1/instances/{name}" || d.Kind != trace.Server ||
		fmt.Sprintf("%x", d.Parent) != "b7ad6b7169203331" || fmt.Sprintf("%x", d.Trace) != "0af7651916cd43dd8448eb211c80319c" ||
		d.State != "k=v" || d.Err != "" || !strings.Contains(fmt.Sprint(d.Attrs), "{http.response.status_code 404}") {
		t.Errorf("d = %+v", d)
	}
	if d := got[1]; d.Parent != [8]byte{} || fmt.Sprintf("%x", d.Trace) == "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf(`d = %+v; want d.Parent == [8]byte{} and fmt.Sprintf("%%x", d.Trace) != "0af7651916cd43dd8448eb211c80319c"`, d)
	}
}

// TestReadyHangs: a look whether we are ready that does not come back is told in time, and no
// second one is begun meanwhile, however many ask.
func TestReadyHangs(t *testing.T) {
	var looks atomic.Int32
	hang, ending := make(chan struct{}), make(chan struct{})
	url := seen(t, server.Options{
		Lifecycle: server.Lifecycle{Ending: ending, Ready: func(context.Context) error {
			if looks.Add(1) == 1 {
				<-hang // whatever its context says
			}
			return nil
		}},
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := status(t, "GET", url+"/readyz"); got != 503 {
				t.Errorf("%d while it hangs", got)
			}
		})
	}
	all.Wait()
	if n := looks.Load(); n != 1 {
		t.Errorf("%d looks", n)
	}
	close(hang)
	for limit := time.Now().Add(time.Minute); status(t, "GET", url+"/readyz") != 200; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it is not ready within a minute after it hung")
		}
	}
	before, begin := looks.Load(), time.Now()
	for range 50 {
		status(t, "GET", url+"/readyz")
	}
	if n := looks.Load() - before; float64(n) > time.Since(begin).Seconds()+2 {
		t.Errorf("50 strangers had it look %d times", n)
	}
	close(ending)
	if got := status(t, "GET", url+"/readyz"); got != 503 {
		t.Errorf("%d when it is about to end", got)
	}
}
